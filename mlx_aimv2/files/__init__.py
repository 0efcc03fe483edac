"""What any layer may use of the disk: paths as text, locks, folders that appear whole."""
