"""A picture, from wherever it comes, to pixels."""

MAX_PIXELS = 178_956_970  # of a picture: above it Pillow speaks of a decompression bomb
