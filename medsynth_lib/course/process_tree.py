"""A command run to its end or to a time limit, with all it starts: measured, and leaving nothing behind."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

_POLL_S = 0.1


@dataclass(frozen=True)
class Finished:
    """``returncode`` is ``None`` where the time limit ended it; memory is the largest sum of resident sizes in MiB."""

    returncode: int | None
    seconds: float
    peak_mib: float


def run_tree(
    command: list[str], *, cwd: Path, env: dict[str, str], output: IO, timeout_s: float, stop: threading.Event
) -> Finished:
    """Run ``command``, its stdout and stderr going to ``output``; kill it and every descendant at ``timeout_s``.

    A notebook's kernel sits in a session of its own and would outlive a killed parent: so every descendant ever seen is
    remembered, and survivors are killed at the end in any case.

    Raises:
        KeyboardInterrupt: another thread set ``stop``.
    """
    started, peak, seen = time.monotonic(), 0, {}
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        while (returncode := process.poll()) is None and time.monotonic() - started < timeout_s:
            peak = max(peak, _resident(process.pid, seen))
            if stop.wait(_POLL_S):
                raise KeyboardInterrupt
    finally:
        _kill(seen)
        process.kill()
        process.wait()
    return Finished(returncode, time.monotonic() - started, peak / 2**20)


def _resident(pid: int, seen: dict[int, psutil.Process]) -> int:
    """Bytes resident in the tree under ``pid``; adds its members to ``seen``."""
    total = 0
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in members:
        try:
            total += member.memory_info().rss
            seen[member.pid] = member
        except psutil.Error:
            continue
    return total


def _kill(seen: dict[int, psutil.Process]) -> None:
    for member in seen.values():
        try:
            member.kill()  # psutil checks the creation time first: a reused process id is left alone
        except psutil.Error:
            continue
