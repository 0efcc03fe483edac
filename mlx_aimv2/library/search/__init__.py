"""Finding photos by words and by likeness."""
