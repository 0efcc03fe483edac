"""A disk that says no to some paths, as it does to anybody but root."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def refused(code: int, calls: tuple[str, ...], where: Callable[[str], bool]) -> Iterator[None]:
    """Inside it the system's calls say no to some paths, as to anybody but root."""

    def refusing(call: Callable[..., Any]) -> Callable[..., Any]:
        def answer(path: Any, *arguments: Any, **options: Any) -> Any:
            if not isinstance(path, int) and where(str(Path.cwd() / os.fsdecode(path))):
                raise OSError(code, os.strerror(code), path)
            return call(path, *arguments, **options)

        return answer

    with pytest.MonkeyPatch.context() as patch:
        for name in calls:
            patch.setattr(os, name, refusing(getattr(os, name)))
        yield
