"""The `aimv2` command."""
