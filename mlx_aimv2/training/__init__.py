"""Training: drawn pictures, a vocabulary, contrastive learning."""
