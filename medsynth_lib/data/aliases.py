"""New names, UIDs and dates for a patient's own: the same for the same original, and not to be computed back."""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from datetime import datetime, timedelta
from pathlib import Path

from pydicom.dataset import Dataset

from medsynth_lib.data.patient_keys import is_placeholder
from medsynth_lib.data.tags import study_of, text
from medsynth_lib.errors import InputError

#: Days a patient's dates go back: at least a year, at most ten; times of day stay, as SUV counts from them.
SHIFT_DAYS = (365, 3650)
#: Root of the UIDs that DICOM itself gives out: transfer syntaxes, kinds of objects.
STANDARD_UID = "1.2.840.10008."


class Aliases:
    """New names, UIDs and dates, the same for the same original under one key: ``HMAC-SHA256(key, original)``.

    Args:
        key: secret; whoever has it can test a guess. Thrown away by default: nobody can go back.
    """

    def __init__(self, key: bytes):
        self.key = key

    def patient(self, tags: Dataset) -> str:
        """``P-`` and eight hexadecimal digits for PatientID; where it is empty or ANONYMOUS, for the study."""
        return "P-" + self._digest("patient", _patient(tags))[:4].hex()

    def uid(self, original: str) -> str:
        """2.25. and a version 4 UUID; standard UIDs (transfer syntaxes, well-known frames of reference) stay."""
        if original.startswith(STANDARD_UID) or not original:
            return original
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', original)[:16], version=4).int}"

    def days(self, tags: Dataset) -> int:
        """How far this patient's dates go back."""
        low, high = SHIFT_DAYS
        return low + int.from_bytes(self._digest("days", _patient(tags))[:4], "big") % (high - low)

    def _digest(self, *words: str) -> bytes:
        return hmac.new(self.key, "\0".join(words).encode(), hashlib.sha256).digest()


def shifted(value: str, days: int) -> str:
    """A DICOM date, or date and time, ``days`` earlier; empty where it is no complete date."""
    parts = re.match(r"(\d{4})\.?(\d{2})\.?(\d{2})([\d.]*(?:[+-]\d{4})?)$", value.strip())
    try:
        day = datetime(*(int(one) for one in parts.groups()[:3])) - timedelta(days=days)
    except (AttributeError, ValueError, OverflowError):
        return ""
    return day.strftime("%Y%m%d") + parts[4]


def read_key(path: str | Path) -> bytes:
    """The secret in a file.

    Raises:
        InputError: it cannot be read, or is shorter than 16 bytes.
    """
    key = Path(path).read_bytes() if Path(path).is_file() else b""
    if len(key) < 16:
        raise InputError(
            "no usable key", where=path, rule="a file of at least 16 random bytes", seen=f"{len(key)} bytes",
            fix="head -c 32 /dev/urandom > KEY, and keep it as safe as the originals",
        )  # fmt: skip
    return key


def _patient(tags: Dataset) -> str:
    own = text(tags, "PatientID")
    return study_of(tags) if is_placeholder(own) else own
