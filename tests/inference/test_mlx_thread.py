"""The thread for MLX ends with the process, whatever is on its way."""

import subprocess
import sys
import textwrap

from tests.support.commands import PATIENCE_S


def exits(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_call_on_its_way_to_a_thread_that_ends_is_not_waited_for() -> None:
    # The first thread's call comes to the second just after its last one; that thread still lives.
    done = exits(
        """
        import threading
        import mlx.core as mx
        from mlx_aimv2.inference.mlx_thread import Worker
        clear, ending, told = mx.clear_streams, threading.Event(), threading.Event()
        def slowly():
            ending.set()
            told.wait(300)
            clear()
        mx.clear_streams = slowly
        first, second = Worker("first"), Worker("second")
        first.run(int)
        second.run(int)
        def late():
            ending.wait()
            return second.run(int)
        waiting = first.submit(late)
        def tell(future):
            print(type(future.exception()).__name__, future.exception())
            told.set()
        waiting.add_done_callback(tell)
        raise SystemExit(5)
        """
    )
    assert (done.returncode, done.stderr) == (5, "")
    assert done.stdout == "Aimv2Error MLX does not go on while the process ends\n"


def test_what_runs_at_the_very_end_is_told() -> None:
    done = exits(
        """
        import atexit
        from mlx_aimv2.inference import mlx_thread
        from mlx_aimv2.errors import Aimv2Error
        def last():
            try:
                mlx_thread.run(int)
            except Aimv2Error as error:
                print(error, "-", error.hint)
        atexit.register(last)
        mlx_thread.run(int)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("MLX does not go on while the process ends - take the results")
