"""A picture, from wherever it comes, to pixels."""
