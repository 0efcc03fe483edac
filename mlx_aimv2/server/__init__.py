"""The page over a library: its routes, what they share, and the static files of the browser."""
