"""`aimv2 browse`: its address, its end, what it says where something is missing or taken."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from mlx_aimv2.files.lock import holder_of
from mlx_aimv2.library.database.connection import vectors_folder
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.server.process import serve
from tests.support.albums import noise
from tests.support.commands import AIMV2, PATIENCE_S, free_port, run, start
from tests.support.synthetic import add_photo

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{43})\n")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    with Store(tmp_path / "library.db", can_write=True) as store:
        add_photo(store, "/photos/a.jpg")
    return tmp_path / "library.db"


@contextmanager
def browsing(library: Path, *options: str) -> Iterator["tuple[subprocess.Popen[str], str]"]:
    """The command as a process, with the address that it has printed; killed at the end."""
    words = [AIMV2, "browse", "--no-open", "--library", str(library), *options]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.kill()


class Browser:
    """A program that keeps cookies, as a browser does."""

    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar()), urllib.request.ProxyHandler({})
        )

    def get(self, address: str, data: bytes | None = None) -> str:
        headers = {"X-Aimv2": "1", "Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(address, data, headers)
        with self._opener.open(request, timeout=PATIENCE_S) as answer:
            text = answer.read().decode()
            assert isinstance(text, str)
            return text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_serves_until_it_is_ended(number: signal.Signals, library: Path) -> None:
    with browsing(library) as (process, address):
        found = ADDRESS.fullmatch(address)
        assert found
        port, token = found.groups()
        browser = Browser()
        assert "<!doctype html>" in browser.get(address.strip())
        assert '"photos":1' in browser.get(f"http://127.0.0.1:{port}/api/status")
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    assert out == ""
    assert token not in err
    assert "Traceback" not in err
    with socket.socket() as listener:  # the port is free again
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(port)))


def test_the_index_that_the_page_started_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    noise(tmp_path / "album/0.png", 0)
    library = tmp_path / "library.db"
    words = ("--model", "demo", "--library", str(library))
    assert start("index", str(tmp_path / "album"), *words).returncode == 0
    for number in range(1, 200):
        noise(tmp_path / f"album/{number}.png", number)
    with browsing(library) as (process, address):
        browser, base = Browser(), address.partition("?")[0]
        browser.get(address.strip())
        browser.get(f"{base}api/index", b'{"do":"start"}')
        while holder_of(vectors_folder(library)) is None:
            if '"running":false' in browser.get(f"{base}api/status"):
                break  # it was faster
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    assert holder_of(vectors_folder(library)) is None


def test_the_port_may_be_chosen(library: Path) -> None:
    port = free_port(1)
    with browsing(library, "--port", str(port)) as (_, address):
        assert address.startswith(f"http://127.0.0.1:{port}/")


def test_a_port_that_is_taken(library: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = run("browse", "--no-open", "--library", str(library), "--port", str(port))
    assert outcome.code == 2
    assert f"port {port} cannot be used" in outcome.err
    assert "--port" in outcome.err
    assert outcome.out == ""


def test_without_a_choice_a_free_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(serve, "PORT", other.getsockname()[1])
        with serve.listen(None) as first:
            assert first.getsockname()[0] == "127.0.0.1"
            assert first.getsockname()[1] != serve.PORT
    with serve.listen(None) as first:
        assert first.getsockname()[1] == serve.PORT


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x"])
def test_what_is_no_port(port: str) -> None:
    outcome = run("browse", "--port", port)
    assert outcome.code == 2
    assert "--port" in outcome.err


def test_the_browser_gets_a_token_of_its_own(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(serve.Server, "run", lambda self, sockets: None)
    outcome = run("browse", "--library", str(library), "--port", str(free_port(1)))
    assert outcome.code == 0
    (address,) = opened
    assert ADDRESS.fullmatch(f"{address}\n")
    assert ADDRESS.fullmatch(outcome.out)
    assert address.strip() != outcome.out.strip()
    assert address.partition("?")[0] == outcome.out.partition("?")[0]
    opened.clear()
    run("browse", "--library", str(library), "--no-open", "--port", str(free_port(1)))
    assert not opened


def test_without_a_browser_the_address_is_enough(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    monkeypatch.setattr(serve.Server, "run", lambda self, sockets: None)
    outcome = run("browse", "--library", str(library), "--port", str(free_port(1)))
    assert outcome.code == 0
    assert "no browser was found" in outcome.err


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_what_it_needs_it_says_what_to_install(package: str) -> None:
    command = (
        f"import sys; sys.modules[{package!r}] = None; from mlx_aimv2.cli.app import main\n"
        "assert main(['browse', '--help']) == 0; sys.exit(main(['browse']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"error: the page needs {package}, which is not installed\n" in done.stderr
    assert re.search(r"hint: .*install .*\[web\]", done.stderr)


@pytest.mark.parametrize(
    "command", ["--help", "browse --help", "index --help", "search --help", "library status"]
)
def test_no_other_command_loads_a_server(command: str, at_home: None) -> None:
    program = (
        f"import sys; from mlx_aimv2.cli.app import main; main({command.split()})\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S,
        check=True,
    )  # fmt: skip
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"starlette", "uvicorn", "anyio", "h11", "asyncio"}
