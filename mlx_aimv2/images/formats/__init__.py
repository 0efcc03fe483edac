"""What Pillow does not tell, or tells wrong, of a picture's format."""
