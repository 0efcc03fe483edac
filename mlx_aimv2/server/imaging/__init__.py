"""Pictures for the page: made of the files that were indexed and of no others, a few at a time."""
