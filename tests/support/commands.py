"""The command run inside the test's own process, with its streams caught as bytes."""

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlx_aimv2.cli import app

AIMV2 = Path(sys.executable).with_name("aimv2")
PATIENCE_S = 600  # with what hangs; no test passes or fails by how long something takes


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it wrote."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def err(self) -> str:
        return self.stderr.decode()

    @property
    def records(self) -> list[dict[str, Any]]:
        """JSON lines of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(
    *arguments: str, stdin: bytes = b"", encoding: str = "utf-8", terminal: str = ""
) -> Outcome:
    """``aimv2 …``; ``terminal`` names the streams that are one, like "stdout stderr"."""
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
    streams["stdin"] = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)), encoding)
    with pytest.MonkeyPatch.context() as patch:
        for name, stream in streams.items():
            patch.setattr(sys, name, stream)
            if name in terminal:
                patch.setattr(stream, "isatty", lambda: True)
        code = app.main(list(arguments))
    written = []
    for name in ("stdout", "stderr"):
        streams[name].flush()
        written.append(streams[name].buffer.getvalue())
    return Outcome(code, *written)


def start(
    *arguments: str, environment: Mapping[str, str] | None = None, **options: Any
) -> "subprocess.CompletedProcess[bytes]":
    """``aimv2 …`` as a process of its own."""
    return subprocess.run(
        [AIMV2, *arguments],
        env=os.environ | dict(environment or {}),
        capture_output=not options,
        timeout=PATIENCE_S,
        check=False,
        **options,
    )


def free_port(count: int = 2) -> int:
    """The first of so many ports in a row that nobody listens on just now."""
    with ExitStack() as open_ones:
        while True:
            first = open_ones.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for each in range(port + 1, port + count):
                    open_ones.enter_context(socket.socket()).bind(("127.0.0.1", each))
            except (OSError, OverflowError):
                continue
            return port


def on(command: str, *arguments: str) -> Outcome:
    """A command on the library ``library.db`` of the current folder."""
    return run(*command.split(), *arguments, "--library", "library.db")
