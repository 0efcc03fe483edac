"""What the library knows, on disk: tables and vectors."""
