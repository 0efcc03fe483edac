"""The `aimv2` command."""

import gc

# What is imported stays: collecting while it piles up only makes help slower. See app.main.
gc.disable()
