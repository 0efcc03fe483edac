"""Shared fixtures. mlx_aimv2 comes first, so that its BLAS is the one MLX finds."""

import atexit
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

# On M5, float32 products would run as TF32. MLX reads this when it is imported.
os.environ.setdefault("MLX_ENABLE_TF32", "0")
# Several processes share the cores: each takes its part, and none waits for the others' threads.
if _workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) - 1:
    _threads = str(max(1, (os.cpu_count() or 1) // (_workers + 1)))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", _threads)
# No test may reach a hub but the loopback one, which sets its own endpoint. The Hub's client reads
# this when it is imported.
os.environ["HF_HUB_OFFLINE"] = "1"

import mlx_aimv2  # noqa: F401  isort: skip
import pytest
from hypothesis import settings

from mlx_aimv2.inference import mlx_thread
from tests.support.fixtures import at_home, loads  # noqa: F401

# Started in a shell's background a process is deaf to Ctrl-C, and so are those that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A verdict is the same every time: other examples are drawn with --hypothesis-profile=default.
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")

# Each process has folders of its own, so that no run comes upon what another one left: kernels that
# MLX compiles (by TMPDIR), the user's library, cached texts. Checkpoints are those of the user.
_cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
os.environ.setdefault("HF_HOME", str(_cache / "huggingface"))
_OWN = Path(tempfile.mkdtemp(prefix="aimv2-tests-"))
_OWN.chmod(0o755)  # other users come here in tests of theirs
atexit.register(shutil.rmtree, _OWN, ignore_errors=True)
os.environ["TMPDIR"] = str(_OWN)
os.environ["XDG_DATA_HOME"], os.environ["XDG_CACHE_HOME"] = f"{_OWN}/data", f"{_OWN}/cache"
_numbers = count()

# Where everything can be had (.ci/run), these alone may be missing.
COMPLETE = "AIMV2_TEST_ALL"
MAY_BE_MISSING = (
    "needs Metal", "needs a published checkpoint", "needs the picture that", "needs /dev/fuse",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_state() -> Iterator[None]:
    import mlx.core as mx  # noqa: PLC0415

    mx.random.seed(7)
    folder = _OWN / str(next(_numbers))
    os.environ["XDG_DATA_HOME"], os.environ["XDG_CACHE_HOME"] = f"{folder}/data", f"{folder}/cache"
    yield
    mlx_thread.run(lambda: None)  # a batch of a stream that was left is none of the next test's


def skipped(config: pytest.Config) -> Counter[str]:
    """Why tests were skipped, and how many for each reason."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports)


def missing(config: pytest.Config) -> list[str]:
    """Reasons that do not count where everything is to be tested."""
    if not os.environ.get(COMPLETE):
        return []
    return [reason for reason in skipped(config) if not reason.startswith(MAY_BE_MISSING)]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if missing(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = skipped(terminalreporter.config).most_common()
    if reasons:
        told = "; ".join(f"{reason} ({number})" for reason, number in reasons)
        terminalreporter.write_line(f"not tested here: {told}")
    for reason in missing(terminalreporter.config):
        terminalreporter.write_line(f"{COMPLETE} is set, and a test {reason}", red=True)
