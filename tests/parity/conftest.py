"""What every comparison needs before it imports transformers or timm."""

import tests.parity.torchvision  # noqa: F401
