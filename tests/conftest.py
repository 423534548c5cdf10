"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real scans: MEDSYNTH_REALDATA, by default ``../shared/realdata`` beside the repository."""
    repository = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("MEDSYNTH_REALDATA", repository.parent / "shared" / "realdata"))
    if not folder.is_dir():
        pytest.skip("the real scans are not here: name their folder in MEDSYNTH_REALDATA")
    return folder
