"""A page whose process is killed at a chosen statement of an edit, in a fork of the tests.

The process takes requests, one by one, and says each answer through a pipe.
"""

import json
import os
import signal
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlx_aimv2.library.database import connection
from mlx_aimv2.library.database.connection import Database
from mlx_aimv2.library.editing import waiting
from tests.support.routes import routes_over

Asked = tuple[str, dict[str, Any]]  # a route and what is sent there


def answers(library: Path, requests: Sequence[Asked], kill_at: int | None = None) -> list[Any]:
    """What was answered until the end, or until the kill before that many steps.

    Steps are statements of the database, and what is done to the file of edits that wait.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads of other tests
        process = os.fork()
    if not process:
        try:
            connection._is_cut_off = False  # by libraries that other tests left open
            os.close(reading)
            _count_steps(kill_at)
            with routes_over(library) as client, os.fdopen(writing, "w") as said:
                for route, body in requests:
                    answer = client.post(route, json=body)
                    said.write(json.dumps([answer.status_code, answer.json(), steps]) + "\n")
                    said.flush()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as heard:
        found = [json.loads(line) for line in heard]
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) == (kill_at is not None), "killed, and nothing else"
    return found


steps = 0


def _count_steps(kill_at: int | None) -> None:
    def counted(call: Any) -> Any:
        def counting(*arguments: Any, **options: Any) -> Any:
            global steps
            if steps == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1
            return call(*arguments, **options)

        return counting

    for name in ("rows", "one", "run", "run_many"):
        setattr(Database, name, counted(getattr(Database, name)))

    class Steps:
        """What ``waiting`` does with files, each call a step."""

        def __getattr__(self, name: str) -> Any:
            found = getattr(os, name)
            return counted(found) if name in ("write", "fsync", "open", "lseek") else found

    waiting.os = Steps()  # type: ignore[assignment]
    waiting.sync = counted(waiting.sync)
