"""What the library knows, on disk: tables, vectors, texts searched for."""
