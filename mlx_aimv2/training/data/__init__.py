"""Pictures with captions to train on: where they come from, their order, crops and batches."""
