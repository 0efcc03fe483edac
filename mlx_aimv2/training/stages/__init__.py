"""The stages: what each of them trains, on what, and the checkpoint that comes of it."""
