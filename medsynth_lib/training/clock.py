"""Time and interruption: images per second, and a Ctrl-C that waits for the step to end."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import torch


class Timer:
    """Images per second since the start; waits for a GPU to finish before it looks at the clock."""

    def __init__(self, device: torch.device):
        self.device = device
        self.restart()

    def restart(self) -> None:
        self.start, self.images = self._now(), 0

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def lap(self) -> float:
        return self.images / max(1e-9, self._now() - self.start)


@contextlib.contextmanager
def interrupt_between_steps() -> Iterator[threading.Event]:
    """Ctrl-C, the notebook's stop button or SIGTERM (a cluster's time limit) sets the event instead of breaking a step
    in two; a second one raises.

    Outside the main thread Python delivers no signals, and the event stays unset.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number, frame):
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    for number in before:
        signal.signal(number, handle)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
