"""Work in a thread of its own while the next of it is made ready."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


class Beside(Generic[Given, Made]):
    """Computes one batch after the other in a thread of its own, while the frames of the next are read.

    Networks do not hold Python's lock, so on a GPU, or where a core is free, both go on at once. No more than one batch
    waits to be used.

    Args:
        compute: what is done in the thread.
        use: receives each batch and what came of it, in their order, in the thread that began them.
    """

    def __init__(self, compute: Callable[[Given], Made], use: Callable[[Given, Made], None]) -> None:
        self._compute, self._use = compute, use
        self._thread = ThreadPoolExecutor(1)
        self._begun: tuple[Given, Future[Made]] | None = None

    def begin(self, batch: Given) -> None:
        """Compute a batch, once the one before is done; returns then. Raises what went wrong with that one."""
        before = self._begun
        if before:
            before[1].result()
        self._begun = batch, self._thread.submit(self._compute, batch)
        if before:
            self._use(before[0], before[1].result())

    def __enter__(self) -> Beside[Given, Made]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._thread:
            if kind is None and self._begun:
                batch, made = self._begun
                self._use(batch, made.result())
