"""What computes, and nothing else: the networks, family by family."""
