"""Drawn pictures with known content, to train and to measure with."""
