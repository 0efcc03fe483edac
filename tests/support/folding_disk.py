"""A disk that keeps names as given and tells neither capitals nor normal forms apart, like APFS.

It passes a folder through. ``mounted`` is a real mount, by FUSE, for which fusepy and libfuse 2 are
needed; ``pretended`` answers Python's own calls, wherever there is no FUSE.
``python -m tests.support.folding_disk ROOT MOUNT [one-inode]`` is the server of the mount.
"""

import ctypes.util
import errno
import os
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import PATIENCE_S

ONE_INODE = 7
_CALLS = ("stat", "lstat", "listdir", "scandir", "open", "access", "readlink", "rename", "chmod")


def fold(name: str) -> str:
    plain = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFD", plain)


def real(
    root: str, path: str, lstat: Callable[..., Any] = os.lstat, listdir: Any = os.listdir
) -> str:
    """Where in ROOT a path on the disk is, whichever spelling it has; asked of the real calls."""
    place = root
    for name in filter(None, path.split("/")):
        try:
            lstat(f"{place}/{name}")
        except OSError:
            with suppress(OSError):
                alike = [each for each in listdir(place) if fold(each) == fold(name)]
                name = next(iter(alike), name)  # noqa: PLW2901
        place = f"{place}/{name}"
    return place


@contextmanager
def mounted(root: Path, mount: Path, *, one_inode: bool = False) -> Iterator[Path]:
    """The disk as a mount; without FUSE the test is skipped."""
    if lacking := _lacking():
        pytest.skip(f"needs {lacking}")
    mount.mkdir()
    command = [sys.executable, "-m", "tests.support.folding_disk", root, mount]
    server = subprocess.Popen([*command, *["one-inode"] * one_inode], cwd=Path(__file__).parents[2])
    try:
        until = time.monotonic() + PATIENCE_S
        while not os.path.ismount(mount):
            assert server.poll() is None and time.monotonic() < until, "it could not be mounted"
            time.sleep(0.01)
        yield mount
    finally:
        subprocess.run(["fusermount", "-u", "-z", mount], check=False, timeout=PATIENCE_S)
        server.wait(PATIENCE_S)


@contextmanager
def pretended(root: Path, mount: Path, *, one_inode: bool = False) -> Iterator[Path]:
    """The disk as Python's calls show it; it is in a folder that is not there."""

    def folding(call: Callable[..., Any], *, is_status: bool) -> Callable[..., Any]:
        def answer(*arguments: Any, **options: Any) -> Any:
            asked = [inside(each) for each in arguments]
            found = call(*asked, **options)
            is_here = asked[0] != arguments[0]
            return _with_one_inode(found) if is_status and one_inode and is_here else found

        def inside(path: Any) -> Any:
            if not isinstance(path, str | bytes | os.PathLike):
                return path
            text = os.fsdecode(path)
            if text != str(mount) and not text.startswith(f"{mount}/"):
                return path
            found = real(str(root), text.removeprefix(str(mount)))
            return os.fsencode(found) if isinstance(path, bytes) else found

        return answer

    with pytest.MonkeyPatch.context() as patch:
        for name in _CALLS:
            own = getattr(os, name)
            patch.setattr(os, name, folding(own, is_status=name in ("stat", "lstat")))
        yield mount


def _with_one_inode(status: os.stat_result) -> os.stat_result:
    plain, named = status.__reduce__()[1]
    return os.stat_result((plain[0], ONE_INODE, *plain[2:]), named)


def _lacking() -> str:
    """What a mount needs and is not here; empty if all is."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse"
    if not ctypes.util.find_library("fuse"):
        return "libfuse 2"
    try:
        import fuse  # noqa: F401, PLC0415
    except ImportError:
        return "fusepy"
    return ""


def _serve(root: str, mount: str, *, one_inode: bool) -> None:
    import fuse  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    class Folding(fuse.Operations):  # type: ignore[misc]
        def __call__(self, operation: str, path: str, *arguments: Any) -> Any:
            try:
                return getattr(self, operation)(path, *arguments)
            except AttributeError:
                raise fuse.FuseOSError(errno.ENOSYS) from None
            except OSError as error:
                raise fuse.FuseOSError(error.errno or errno.EIO) from error

        def getattr(self, path: str, _: Any = None) -> dict[str, Any]:
            status = os.lstat(real(root, path))
            names = ("mode", "nlink", "uid", "gid", "size", "atime", "mtime", "ctime", "ino")
            facts = {f"st_{name}": getattr(status, f"st_{name}") for name in names}
            return facts | ({"st_ino": ONE_INODE} if one_inode else {})

        def readdir(self, path: str, _: Any) -> list[str]:
            return [".", "..", *(each.name for each in Path(real(root, path)).iterdir())]

        def readlink(self, path: str) -> str:
            return os.fspath(Path(real(root, path)).readlink())

        def open(self, path: str, flags: int) -> int:
            return os.open(real(root, path), flags)

        def read(self, _: str, size: int, start: int, file: int) -> bytes:
            return os.pread(file, size, start)

        def release(self, _: str, file: int) -> None:
            os.close(file)

        def rename(self, before: str, after: str) -> None:
            folder, name = os.path.split(after)
            Path(real(root, before)).rename(f"{real(root, folder)}/{name}")

        def statfs(self, path: str) -> dict[str, int]:
            status = os.statvfs(real(root, path))
            return {name: getattr(status, name) for name in dir(status) if name.startswith("f_")}

    fuse.FUSE(
        Folding(), mount, foreground=True, nothreads=True, use_ino=True,
        attr_timeout=0, entry_timeout=0, negative_timeout=0,
    )  # fmt: skip


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], one_inode="one-inode" in sys.argv)
