"""Training runs: their settings, the loop, what is kept of them, several machines, plots."""
