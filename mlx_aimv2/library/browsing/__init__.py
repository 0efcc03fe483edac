"""Photos as a page shows them: by month, as cells of a grid, one with all that is known of it."""
