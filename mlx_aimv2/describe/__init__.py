"""Pictures described in words, and questions about them answered: Aria."""
