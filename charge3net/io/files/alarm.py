"""Readers that take too long are stopped."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from charge3net.io.files.source import Source

#: Seconds that a parser of text with a free form may take.
TIME_LIMIT = 120.0


@contextmanager
def time_limit(source: Source, seconds: float = TIME_LIMIT) -> Iterator[None]:
    """Stop a parser that takes longer than this, in any thread: between two steps of Python, not within one.

    Raises:
        InputError: when the time is over.
    """
    in_main = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")
    try:
        with _alarm(seconds) if in_main else _alarm_in_thread(seconds):
            yield
    except TimeoutError:
        raise source.error(f"reading was stopped after {seconds:g} s") from None


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """TimeoutError in the main thread by a signal, after this time."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _alarm_in_thread(seconds: float) -> Iterator[None]:
    """TimeoutError in this thread, set by another one after this time; signals reach the main thread only."""
    here, lock, over = ctypes.c_ulong(threading.get_ident()), threading.Lock(), False

    def stop() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(here, ctypes.py_object(TimeoutError))

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            over = True
        ctypes.pythonapi.PyThreadState_SetAsyncExc(here, None)  # one that has not arrived
