"""Pictures are made a few at a time, and none for who has left."""

import threading
from functools import partial

import anyio
import pytest
from starlette.requests import Request
from starlette.types import Message

from mlx_aimv2.server.answers import PageError
from mlx_aimv2.server.imaging.recent import Recent
from mlx_aimv2.server.imaging.turns import Turns


def asking(*, is_gone: bool = False) -> Request:
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    if is_gone:
        messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0) if messages else await anyio.sleep_forever()

    return Request({"type": "http", "method": "GET", "path": "/", "headers": []}, receive)


def test_few_work_together_and_few_wait() -> None:
    turns = Turns(together=2, most_waiting=5)
    go_on, at_work, most = threading.Event(), 0, 0
    refused, done = [], []
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        go_on.wait()
        with lock:
            at_work -= 1
        return number

    async def ask(number: int) -> None:
        try:
            done.append(await turns.run(asking(), partial(work, number)))
        except PageError as error:
            refused.append(error.code)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(9):
                group.start_soon(ask, number)
            while len(refused) < 4:
                await anyio.sleep(0)
            go_on.set()
        done.append(await turns.run(asking(), lambda: 99))

    anyio.run(main)
    assert refused == ["busy"] * 4
    assert sorted(done) == [0, 1, 2, 3, 4, 99]
    assert most <= 2


def test_nothing_is_made_for_who_has_left() -> None:
    made: list[int] = []
    turns = Turns(together=1)
    work = partial(made.append, 1)
    assert anyio.run(turns.run, asking(is_gone=True), work) is None
    assert not made
    anyio.run(turns.run, asking(), work)
    assert made == [1]


def test_a_failure_gives_the_turn_on() -> None:
    turns = Turns(together=1, most_waiting=1)

    def fail() -> None:
        raise ValueError

    for _ in range(3):
        with pytest.raises(ValueError):
            anyio.run(turns.run, asking(), fail)
    assert anyio.run(turns.run, asking(), lambda: 7) == 7


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    recent = Recent(limit_bytes=30)
    for key in "abc":
        recent.put(key, key.encode() * 10)
    assert recent.get("a") == b"a" * 10
    recent.put("d", b"d" * 15)
    assert [key for key in "abcd" if recent.get(key)] == ["a", "d"]
    recent.put("d", b"d")
    recent.put("e", b"e" * 10)
    assert [key for key in "ade" if recent.get(key)] == ["a", "d", "e"]
    recent.put("f", b"f" * 31)
    assert recent.get("f") is None
