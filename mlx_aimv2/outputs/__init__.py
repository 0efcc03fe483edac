"""Embeddings to files."""
