"""``obtain`` in a process of its own, so that it can be starved of disk."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from medsynth_lib.data.public.obtain import Plan, obtain
from medsynth_lib.errors import MedSynthError


def starved(plan: Plan, out: Path, largest: int, told: Path) -> str:
    """What ``obtain`` says in a fork whose files cannot grow beyond ``largest`` bytes."""
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
            obtain(plan, out)
        except MedSynthError as error:
            told.write_text(f"{type(error).__name__}: {error}"[:largest])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return told.read_text()
