"""What was made last, in memory, within a limit of bytes."""

import threading
from collections import OrderedDict

LIMIT_BYTES = 64 << 20  # of views of 1600 px some 150


class Recent:
    """Bytes by their keys; those that were asked for longest ago go first."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[object, bytes] = OrderedDict()
        self._size_bytes = 0
        self._lock = threading.Lock()

    def get(self, key: object) -> bytes | None:
        """What was kept; None if it is gone."""
        with self._lock:
            data = self._kept.get(key)
            if data is not None:
                self._kept.move_to_end(key)
            return data

    def put(self, key: object, data: bytes) -> None:
        """Keep this, as long as it is asked for more than the rest."""
        with self._lock:
            self._size_bytes += len(data) - len(self._kept.pop(key, b""))
            self._kept[key] = data
            while self._size_bytes > self._limit_bytes:
                self._size_bytes -= len(self._kept.popitem(last=False)[1])
