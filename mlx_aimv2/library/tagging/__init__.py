"""Which tags fit which photos."""
