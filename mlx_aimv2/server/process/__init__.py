"""The page's process: how it begins and ends, the model it keeps, and the index beside it."""
