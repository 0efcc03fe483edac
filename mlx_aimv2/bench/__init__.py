"""Measures a machine with a checkpoint: rates, start and memory, with ceilings and peers."""
