"""``obtain`` in a process of its own, so that it can be starved of disk."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path

from medsynth_lib.data.public.obtain import Plan, obtain
from medsynth_lib.errors import MedSynthError

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["medsynth_lib.data.public.obtain"])


def starved(plan: Plan, out: Path, largest: int, told: Path) -> str:
    """What ``obtain`` says in a process whose files cannot grow beyond ``largest`` bytes."""
    process = processes.Process(target=_starve, args=(plan, out, largest, told))
    process.start()
    process.join(60)
    return told.read_text()


def _starve(plan: Plan, out: Path, largest: int, told: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    try:
        obtain(plan, out)
    except MedSynthError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        told.write_text(f"{type(error).__name__}: {error}")
