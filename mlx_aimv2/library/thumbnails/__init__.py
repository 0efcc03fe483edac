"""Photos made small, and the file beside a library that keeps them."""
