"""Data sets as they lie on disk: folders, shards and tables, with classes or with captions."""
