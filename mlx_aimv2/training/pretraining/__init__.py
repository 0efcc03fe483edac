"""The paper's objective: each patch and each word of a caption predicted from what is before it."""
