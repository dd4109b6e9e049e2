"""Prediction by several processes, on one machine or many: started by ``torchrun``, joined by torch.distributed.

Only arrays on the CPU are exchanged (gloo), so the processes need no GPUs and do not compete for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from charge3net.errors import InputError

T = TypeVar("T")


class Processes:
    """The processes that work together; this class is a single process.

    Attributes:
        rank: number of this process; 0 is the one that collects.
        size: how many there are.
        here: number of this process among those on its machine.
    """

    def __init__(self, rank: int = 0, size: int = 1, here: int = 0) -> None:
        self.rank, self.size, self.here = rank, size, here

    @property
    def collects(self) -> bool:
        """Whether this is the process that results come to."""
        return self.rank == 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work that succeeds in all processes or fails in all of them.

        Raises:
            InputError: in every process, if any of them failed inside this block. One process alone raises what it
                raises.
        """
        yield

    def share(self, make: Callable[[], T]) -> T:
        """Make an object in the collecting process and send it to all; it must be picklable.

        Raises:
            InputError: in every process, if it cannot be made.
        """
        return make()

    def gather(self, part: Shaped[ndarray, "*shape"]) -> list[Shaped[ndarray, "*shape"]]:
        """The parts of all processes, by rank, in the collecting process; empty elsewhere. Shapes must agree."""
        return [part]

    def gather_messages(self, own: list[str]) -> list[str]:
        """The messages of all processes, by rank. All processes wait for each other here."""
        return own

    def turns(self, n: int) -> Iterable[int]:
        """The numbers below ``n`` that this process handles: a free process takes the next. Once per command."""
        return range(n)


#: One process.
ALONE = Processes()


class TorchProcesses(Processes):
    """The processes that ``torchrun``, or anything else that sets its environment variables, has started.

    Raises:
        InputError: if they do not find each other.
    """

    def __init__(self) -> None:
        import torch
        import torch.distributed as dist

        try:
            store, rank, size = next(iter(dist.rendezvous("env://")))
            dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
        except (RuntimeError, ValueError) as error:  # torch's own errors are RuntimeErrors
            raise InputError(f"the processes of this prediction do not find each other: {error}") from None
        super().__init__(rank, size, int(os.environ.get("LOCAL_RANK", "0")))
        self._torch, self._dist, self._store = torch, dist, store

    @contextmanager
    def together(self) -> Iterator[None]:
        """See :meth:`Processes.together`."""
        own: Exception | None = None
        try:
            yield
        except Exception as error:
            own = error
        failed = self._torch.tensor([0 if own is None else 1])
        self._dist.all_reduce(failed)
        if not int(failed):
            return
        if own is not None and not isinstance(own, InputError):
            own = InputError(f"process {self.rank}: {type(own).__name__}: {own}")
        reasons = self.gather_messages([] if own is None else [str(own)])
        raise own or InputError(reasons[0])

    def share(self, make: Callable[[], T]) -> T:
        """See :meth:`Processes.share`."""
        made: list[T | None] = [None]
        with self.together():
            if self.collects:
                made = [make()]
        self._dist.broadcast_object_list(made)
        return made[0]  # type: ignore[return-value]  # broadcast

    def gather(self, part: Shaped[ndarray, "*shape"]) -> list[Shaped[ndarray, "*shape"]]:
        """See :meth:`Processes.gather`."""
        own = self._torch.from_numpy(np.ascontiguousarray(part))
        parts = [self._torch.empty_like(own) for _ in range(self.size)] if self.collects else None
        self._dist.gather(own, parts)
        return [] if parts is None else [one.numpy() for one in parts]

    def gather_messages(self, own: list[str]) -> list[str]:
        """See :meth:`Processes.gather_messages`."""
        gathered: list[list[str]] = [[] for _ in range(self.size)]
        self._dist.all_gather_object(gathered, own)
        return [message for messages in gathered for message in messages]

    def turns(self, n: int) -> Iterable[int]:
        """See :meth:`Processes.turns`."""
        while (turn := int(self._store.add("charge3net/turns", 1)) - 1) < n:
            yield turn


@contextmanager
def started_processes() -> Iterator[Processes]:
    """The processes of this command: those of ``torchrun``, or this one alone.

    Raises:
        InputError: if they do not find each other.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    processes = TorchProcesses()
    try:
        yield processes
    finally:
        processes._dist.destroy_process_group()
