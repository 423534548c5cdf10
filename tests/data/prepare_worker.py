"""``prepare`` in processes of their own, so that they can be killed or starved of disk."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

from medsynth_lib.data.prepare import PrepareConfig, prepare
from medsynth_lib.errors import MedSynthError


def die_after_the_first_patient(root: Path, out: Path, config: PrepareConfig) -> None:
    prepare(root, out, config, report=lambda line: os.kill(os.getpid(), signal.SIGKILL))


def fill_the_disk(root: Path, out: Path, config: PrepareConfig, largest: int, told: Path) -> None:
    """No file can grow beyond ``largest`` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    try:
        prepare(root, out, config)
    except MedSynthError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        told.write_text(f"{type(error).__name__}: {error}")
