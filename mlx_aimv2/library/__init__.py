"""The photo library: index, search, tags, duplicates."""
