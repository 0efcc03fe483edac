"""What to type to install something, by how this package was installed: no index has it."""

import os
import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlparse

_NAME = "mlx-aimv2"
_UV_RECEIPT = "uv-receipt.toml"
_CLONE = Path(__file__).resolve().parent.parent
_OF_EXTRA = re.compile(r"(?P<requirement>[^;]+);.*\bextra == [\"'](?P<extra>\w+)[\"']")


def extra(name: str) -> str:
    """The command that adds what an extra needs, like "raw"."""
    source, is_editable = _source()
    if is_editable:
        return _pip_install("-e", f"{source}[{name}]")
    from importlib.metadata import requires  # noqa: PLC0415  (slow; only where it is needed)

    found = filter(None, map(_OF_EXTRA.fullmatch, requires(_NAME) or ()))
    return packages(*(each["requirement"].strip() for each in found if each["extra"] == name))


def packages(*requirements: str) -> str:
    """The command that adds packages beside this one."""
    source, _ = _source()
    if _is_there("pipx_metadata.json"):
        return shlex.join(["pipx", "inject", _NAME, *requirements])
    if _is_there(_UV_RECEIPT) and source:
        wanted = [*_beside_uv(), *requirements]  # uv takes out what is not named again
        withs = [word for requirement in dict.fromkeys(wanted) for word in ("--with", requirement)]
        return shlex.join(["uv", "tool", "install", *withs, source])
    return _pip_install(*requirements)


def again() -> str:
    """The command that installs this package again, from where it came."""
    source, is_editable = _source()
    if _is_there("pipx_metadata.json"):
        return f"pipx reinstall {_NAME}"
    if _is_there(_UV_RECEIPT):
        return f"uv tool upgrade --reinstall {_NAME}"
    if not source:
        return "install it as you did before"
    return _pip_install("-e" if is_editable else "--force-reinstall", source)


def python() -> str:
    """The interpreter that runs this, as it can be typed."""
    is_active = os.environ.get("VIRTUAL_ENV") == sys.prefix
    return "python" if is_active else shlex.quote(sys.executable)


def _pip_install(*arguments: str) -> str:
    is_active = python() == "python"
    if find_spec("pip") is None:
        words = ["uv", "pip", "install", *([] if is_active else ["--python", sys.executable])]
    else:
        words = [*(["pip"] if is_active else [sys.executable, "-m", "pip"]), "install"]
    return shlex.join([*words, *arguments])


def _source() -> tuple[str, bool]:
    """The folder, file or address that was installed, empty if not known; whether a clone."""
    if (_CLONE / "pyproject.toml").is_file():
        return str(_CLONE), True
    import json  # noqa: PLC0415
    from importlib.metadata import distribution  # noqa: PLC0415

    said = json.loads(distribution(_NAME).read_text("direct_url.json") or "{}")
    url = said.get("url", "")
    if url.startswith("file:"):
        return unquote(urlparse(url).path), False
    vcs = said.get("vcs_info", {}).get("vcs")
    return f"{vcs}+{url}" if vcs else url, False


def _beside_uv() -> list[str]:
    """What uv has installed beside this package."""
    import tomllib  # noqa: PLC0415

    receipt = tomllib.loads((Path(sys.prefix) / _UV_RECEIPT).read_text(encoding="utf-8"))
    listed = receipt.get("tool", {}).get("requirements", [])
    return [each["name"] + each.get("specifier", "") for each in listed if each["name"] != _NAME]


def _is_there(receipt: str) -> bool:
    """Whether the tool that leaves this file made the environment."""
    return (Path(sys.prefix) / receipt).is_file()
