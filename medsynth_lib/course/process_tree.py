"""A command run to its end or to a time limit, with all it starts: measured, and leaving nothing behind."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

_POLL_S = 0.1
#: New members of a tree are looked for less often than known ones are measured: it means reading all of /proc.
_SEARCH_S = 0.5
#: A notebook that prints without end must not fill the disk.
MAX_OUTPUT_MIB = 64


@dataclass(frozen=True)
class Finished:
    """``limit`` is ``"time"``, ``"memory"`` or ``"log"`` where that limit ended it, and ``returncode`` then ``None``.

    ``peak_mib`` is the largest sum of resident sizes seen.
    """

    returncode: int | None
    seconds: float
    peak_mib: float
    limit: str = ""


def run_tree(
    command: list[str],
    *,
    cwd: Path,
    env: dict[str, str],
    output: IO,
    timeout_s: float,
    stop: threading.Event,
    memory_mib: float = math.inf,
) -> Finished:
    """Run ``command``, its stdout and stderr going to ``output``; kill it and every descendant at a limit.

    The limits: ``timeout_s``; ``memory_mib`` resident in all of them together; ``MAX_OUTPUT_MIB`` of output. A
    notebook's kernel sits in a session of its own and would outlive a killed parent: so every descendant ever seen is
    remembered, and survivors are killed at the end in any case. Should this very process be killed, they go with it on
    Linux. Where the whole machine runs out of memory, the kernel takes them first.

    Raises:
        KeyboardInterrupt: another thread set ``stop``.
    """
    started, peak, seen, limit = time.monotonic(), 0, {}, ""
    searched = -math.inf
    command = [*_dying_with_us(), *command]
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    _offer_to_the_oom_killer(process.pid)
    try:
        while not limit and (returncode := process.poll()) is None:
            now = time.monotonic()
            if now - searched >= _SEARCH_S:
                seen, searched = seen | _members(process.pid), now
            resident = sum(map(_resident, seen.values())) / 2**20
            peak = max(peak, resident)
            limit = "time" if now - started >= timeout_s else limit
            limit = "log" if os.fstat(output.fileno()).st_size > MAX_OUTPUT_MIB * 2**20 else limit
            limit = "memory" if resident > memory_mib else limit
            if not limit and stop.wait(_POLL_S):
                raise KeyboardInterrupt
    finally:
        _kill(seen | _members(process.pid))
        process.kill()
        process.wait()
    return Finished(None if limit else returncode, time.monotonic() - started, peak, limit)


def _dying_with_us() -> list[str]:
    """Words before a command that have Linux kill it when the thread that started it ends; none elsewhere."""
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def _offer_to_the_oom_killer(pid: int) -> None:
    with contextlib.suppress(OSError):  # no such file: not Linux, or already over
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def _members(pid: int) -> dict[int, psutil.Process]:
    """All processes of the tree under ``pid``, by their id."""
    try:
        root = psutil.Process(pid)
        return {member.pid: member for member in (root, *root.children(recursive=True))}
    except psutil.NoSuchProcess:
        return {}


def _resident(member: psutil.Process) -> int:
    """Its resident bytes; 0 where it has ended, also where its id is another's by now."""
    try:
        return member.memory_info().rss if member.is_running() else 0
    except psutil.Error:
        return 0


def _kill(seen: dict[int, psutil.Process]) -> None:
    for member in seen.values():
        try:
            member.kill()  # psutil checks the creation time first: a reused process id is left alone
        except psutil.Error:
            continue
