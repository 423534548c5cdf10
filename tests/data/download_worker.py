"""``fetch`` in a process of its own, so that it can be starved of disk."""

from __future__ import annotations

import resource
from pathlib import Path

from medsynth_lib.data.download import RemoteFile, fetch
from medsynth_lib.errors import MedSynthError


def fill_the_disk(file: RemoteFile, folder: Path, largest: int, told: Path) -> None:
    """No file can grow beyond ``largest`` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    try:
        fetch(file, folder)
    except MedSynthError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        told.write_text(f"{type(error).__name__}: {error}")
