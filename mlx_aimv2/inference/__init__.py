"""Many images or texts to embeddings."""
