"""Parsers stop after their time, in the main thread and in others."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable

import pytest

from charge3net.errors import InputError
from charge3net.io.files import Source, time_limit


def in_main_thread(work: Callable[[], None]) -> list[BaseException]:
    try:
        work()
    except BaseException as error:
        return [error]
    return []


def in_another_thread(work: Callable[[], None]) -> list[BaseException]:
    raised: list[BaseException] = []
    thread = threading.Thread(target=lambda: raised.extend(in_main_thread(work)))
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    return raised


@pytest.mark.parametrize("run", [in_main_thread, in_another_thread])
def test_a_parser_without_end_is_stopped(run) -> None:
    def parse() -> None:
        with time_limit(Source(io.BytesIO(b"x"), "endless.cif"), 0.1):
            while True:
                time.sleep(0.001)

    (error,) = run(parse)
    assert isinstance(error, InputError)
    assert str(error) == "endless.cif: reading was stopped after 0.1 s"


@pytest.mark.parametrize("run", [in_main_thread, in_another_thread])
def test_a_parser_in_time_is_left_alone_also_later(run) -> None:
    def parse() -> None:
        with time_limit(Source(io.BytesIO(b"x"), "quick.cif"), 0.2):
            pass
        time.sleep(0.5)

    assert run(parse) == []


@pytest.mark.parametrize("run", [in_main_thread, in_another_thread])
def test_errors_of_the_parser_are_its_own(run) -> None:
    def parse() -> None:
        with time_limit(Source(io.BytesIO(b"x"), "bad.cif"), 5.0):
            raise InputError("bad.cif: no atoms")

    (error,) = run(parse)
    assert str(error) == "bad.cif: no atoms"
