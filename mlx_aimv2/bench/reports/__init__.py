"""A run's figures as JSON, Markdown, a table and a picture; two reports side by side."""
