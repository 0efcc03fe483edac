"""What formats share: values as bytes, and many small pieces in few writes."""

from collections.abc import Iterable
from typing import IO

from ..embeddings import Entry

BLOCK_BYTES = 1 << 20
FLOAT_BYTES = 4


def write_blocks(out: IO[bytes], pieces: Iterable[bytes]) -> None:
    """Write small pieces together."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= BLOCK_BYTES:
            out.write(block)
            block.clear()
    out.write(block)


def row_bytes(entry: Entry) -> bytes:
    """The values of an embedding as little-endian float32."""
    assert entry.read is not None
    return entry.read().astype("<f4", copy=False).tobytes()
