"""``aimv2 …`` with a model that says a picture's name, killed after so many moments.

    python -m tests.support.killed_describe MOMENTS LOG describe …

A moment is before and after each picture that is looked at, each commit of the library, each
sidecar that is put in its place, and in the midst of each line of a file; 0 for never. The log has
a line for each picture that the model was asked about.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from mlx_aimv2.cli import describe
from mlx_aimv2.cli.app import main
from mlx_aimv2.describe.captions import CaptionFile
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.sidecars import sidecar

HOSTILE = "<script>alert(1)</script> &amp; ]]> <|im_end|> \x1b[31m=1+1\x07\n'\" 猫 "


def words_of(name: str) -> str:
    """What the model says of a picture."""
    return f"{HOSTILE}picture {name}"


def install(moments: int, log: Path) -> None:
    """Kill this process after so many moments; what it asks its model is in the log."""
    left = moments

    def moment() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    class Model:
        def describe(self, image: str, prompt: str, **_: object) -> str:
            moment()
            with log.open("a") as file:
                file.write(f"{Path(image).stem}\n")
            moment()
            return words_of(Path(image).stem)

    def around(before: Any) -> Any:
        def call(*arguments: Any) -> Any:
            moment()
            before(*arguments)
            moment()

        return call

    write = CaptionFile._write

    def write_in_halves(self: CaptionFile, line: bytes) -> None:
        write(self, line[: len(line) // 2])
        moment()
        write(self, line[len(line) // 2 :])

    describe.load = lambda options: Model()  # type: ignore[assignment,return-value]
    Store.commit = around(Store.commit)  # type: ignore[method-assign]
    sidecar.put_back = around(sidecar.put_back)
    CaptionFile._write = write_in_halves  # type: ignore[method-assign]


if __name__ == "__main__":
    install(int(sys.argv[1]), Path(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
