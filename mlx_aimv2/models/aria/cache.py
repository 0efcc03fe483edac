"""What attention keeps of the tokens before: their keys and values, plain or quantised."""

from typing import Any

import mlx.core as mx

Arrays = tuple[mx.array, ...]

_STEP = 256  # tokens by which the room grows


class KVCache:
    """The keys and values of one block. Shapes: (B, H, tokens, D/H) each."""

    def __init__(self) -> None:
        self.length = 0
        self._kept: list[mx.array] = []

    def extend(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Append some tokens; returns all keys and all values. Shapes: (B, H, L, D/H) each."""
        keys, values = self._append((keys, values))
        return keys, values

    @property
    def size_bytes(self) -> int:
        """Bytes that are kept, those of the room beyond the last token too."""
        return sum(array.nbytes for array in self._kept)

    def _append(self, new: Arrays) -> Arrays:
        """All rows along the tokens' axis, with these new ones at the end."""
        start, count = self.length, new[0].shape[2]
        self.length += count
        room = self._kept[0].shape[2] if self._kept else 0
        if self.length > room:
            grown = -(-(self.length - room) // _STEP) * _STEP
            added = [mx.zeros((*x.shape[:2], grown, x.shape[3]), x.dtype) for x in new]
            self._kept = (
                [
                    mx.concatenate([old, more], axis=2)
                    for old, more in zip(self._kept, added, strict=True)
                ]
                if self._kept
                else added
            )
        for kept, rows in zip(self._kept, new, strict=True):
            kept[:, :, start : self.length] = rows
        return tuple(kept[:, :, : self.length] for kept in self._kept)


class QuantizedKVCache(KVCache):
    """A :class:`KVCache` that keeps ``bits`` bits a number, in groups along a head."""

    def __init__(self, bits: int, group_size: int) -> None:
        super().__init__()
        self._how: dict[str, Any] = {"bits": bits, "group_size": group_size}

    def extend(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """See :meth:`KVCache.extend`; what is returned was quantised."""
        packed = [mx.quantize(rows, **self._how) for rows in (keys, values)]
        kept = self._append((*packed[0], *packed[1]))
        keys, values = (
            mx.dequantize(weight, scales, biases, **self._how)
            for weight, scales, biases in (kept[:3], kept[3:])
        )
        return keys, values
