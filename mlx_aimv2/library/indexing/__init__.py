"""Bringing a library up to date with the disk."""
