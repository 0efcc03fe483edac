"""What a person says of tags: words typed are resolved, edits are made now or kept for later."""
