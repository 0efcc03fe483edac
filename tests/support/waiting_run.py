"""Makes the edits that wait beside a library, in a process that kills itself on the way.

python -m tests.support.waiting_run LIBRARY MOMENT NUMBER

``said`` is inside an edit, ``made`` behind one, of this number; ``forgetting`` is before the file
of waiting edits is taken away, ``forgotten`` after that.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing import waiting
from mlx_aimv2.library.library import Library


def kill_at(moment: str, number: int) -> None:
    """Kill this process at the so manieth such moment."""
    left = number

    def wrapped(function: Callable[..., Any], *, first: bool = False) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if first and not left:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **options)
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    if moment == "said":
        Store.say_of_all = wrapped(Store.say_of_all)
    elif moment == "made":
        waiting.make = wrapped(waiting.make)
    else:
        Path.unlink = wrapped(Path.unlink, first=moment == "forgetting")


if __name__ == "__main__":
    kill_at(sys.argv[2], int(sys.argv[3]))
    with Library(sys.argv[1])._writing():
        pass
