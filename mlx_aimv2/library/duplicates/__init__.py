"""Files that show one picture."""
