"""``aimv2 browse``: a page to look at the library, search it and correct it."""

from dataclasses import dataclass

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.options import option

from . import output
from .options import LIBRARY

EXAMPLES = """
aimv2 browse
aimv2 browse --library holidays.db --port 8770
ssh -L 8765:127.0.0.1:8765 studio.local -t aimv2 browse --port 8765 --no-open
"""


@dataclass(frozen=True)
class Options:
    """What ``aimv2 browse`` takes."""

    port: int | None = option(
        help="The port of the page on this machine.",
        min=1,
        max=65535,
        metavar="PORT",
        show_default="8765, or a free one",
    )
    no_open: bool = option(False, help="Only print the address; open no browser.")
    library: str | None = LIBRARY()


def browse(options: Options) -> None:
    """Look at the library in a browser: scroll, search, tag, teach, sort out copies.

    The page is served by this machine to this machine alone, to whoever has the address that is
    printed, until Ctrl-C. Nothing is fetched from anywhere else. To see the page on another
    machine let ssh lead to it, as in the last example, with the same port on both sides.
    """
    try:
        from mlx_aimv2.server.process.serve import (  # noqa: PLC0415  (heavy)
            LOOPBACK,
            listen,
            make_server,
        )  # fmt: skip
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("starlette", "uvicorn"):
            raise
        raise Aimv2Error(
            f"the page needs {package}, which is not installed",
            hint=install_hints.extra("web"),
        ) from error
    from mlx_aimv2.server.gate.keys import Keys  # noqa: PLC0415
    from mlx_aimv2.server.service import Service  # noqa: PLC0415

    with Service(options.library) as service, listen(options.port) as listener:
        port = listener.getsockname()[1]
        keys = Keys(port)
        server = make_server(service, keys, port)
        output.line(f"http://{LOOPBACK}:{port}/?token={keys.printed}")
        output.finish()
        problem = service.overview().problem  # and the checkpoint begins to load
        if problem is not None:
            output.note(f"{problem['message']}: {problem['hint']}")
        output.say("this address lets whoever has it see and edit the library; Ctrl-C ends it")
        if not options.no_open:
            _open(f"http://{LOOPBACK}:{port}/?token={keys.once}")
        server.run([listener])
        if service.index_process.state().is_here:
            output.say("the index ends too, after the photos at hand; what is done is kept")


def _open(address: str) -> None:
    import webbrowser  # noqa: PLC0415

    if webbrowser.open(address) is False:
        output.note("no browser was found: open the address above in one")
