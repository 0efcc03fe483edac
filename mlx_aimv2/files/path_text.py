r"""Names as text that every program can read, and back.

A file's name is bytes, and need not be UTF-8. Each byte that is not is written as ``\udcff``
(the byte's value after ``dc``), as Python's surrogateescape has it. Where a name holds such six
characters itself, their backslash is written as ``\udc5c``. All other names stay as they are.
"""

import re

_BACKSLASH = r"\udc5c"
_SPECIAL = re.compile(r"[\ud800-\udfff]|\\(?=ud[89a-f][0-9a-f]{2})")
_ESCAPED = re.compile(r"\\u(d[89a-f][0-9a-f]{2})")


def escape(name: str) -> str:
    """A name as ``os.fsdecode`` gives it, as text without lone surrogates."""
    return _SPECIAL.sub(
        lambda match: _BACKSLASH if match[0] == "\\" else f"\\u{ord(match[0]):04x}", name
    )


def unescape(text: str) -> str:
    """The name that :func:`escape` was given; ``os.fsencode`` has its bytes."""
    return _ESCAPED.sub(
        lambda match: "\\" if match[0] == _BACKSLASH else chr(int(match[1], 16)), text
    )
