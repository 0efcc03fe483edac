"""Tests of what a user may not read or write, for root too, who may do everything."""

import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import pytest

_VERSION = 0x20080522
_FREE_WAY = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def as_ordinary_user(test: Callable[..., None]) -> Callable[..., None]:
    """A test whose user is held to the permissions of files: root's powers belong to a thread."""

    @wraps(test)
    def held(*arguments: Any, **options: Any) -> None:
        if os.geteuid() != 0:
            test(*arguments, **options)
            return
        if not sys.platform.startswith("linux"):
            pytest.skip("needs an ordinary user")
        with ThreadPoolExecutor(1, initializer=_give_up_powers) as pool:
            pool.submit(test, *arguments, **options).result()

    return held


def _give_up_powers() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    powers = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    if libc.capget(header, powers):
        raise OSError(ctypes.get_errno(), "capget")
    for kind in range(3):
        powers[kind] &= ~_FREE_WAY
    if libc.capset(header, powers):
        raise OSError(ctypes.get_errno(), "capset")
