"""The next batch is prepared while the current one trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def prefetch(load: Callable[[int], T], steps: range) -> Iterator[T]:
    """``load(step)`` for each of ``steps``, one ahead, in a thread of its own.

    That thread computes alone. If torch split its work too, there were two teams of OpenMP threads, more threads than
    cores, and every small operation of the training would begin by waking a sleeping one: on two cores the whole loop
    then takes as long as on one (``medsynth bench`` does not see it, its operations are large; docs/results.md, Speed).
    """
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(1) as ahead:
        ahead.submit(_compute_alone).result()
        torch.set_num_threads(threads)  # what threads born from now on start from
        batches = (ahead.submit(load, step) for step in steps)
        following = next(batches, None)
        while following:
            ready, following = following.result(), next(batches, None)
            yield ready


def _compute_alone() -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread takes the number over when it first asks or computes: now, not later
