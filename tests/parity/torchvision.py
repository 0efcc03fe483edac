"""torchvision beside a torch that it was not built for cannot be imported: then it is not there.

Its wheel needs the very build of torch that it was made with; where pip brings another (the CPU
build of torch has no torchvision of its own on some indexes), transformers finds the package,
imports it and fails. transformers has Pillow processors and timm needs only names from it.
"""

import sys

try:
    import torchvision  # noqa: F401
except (ImportError, RuntimeError):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    sys.modules["torchvision"] = None  # type: ignore[assignment]  # what Python calls "absent"
