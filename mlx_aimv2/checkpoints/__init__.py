"""A name, a hub id or a folder to a ready network, and back."""
