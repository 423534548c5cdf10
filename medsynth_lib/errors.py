"""The one kind of error a user of MedSynth should ever read."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

#: Folders the user named: what lies in them was named by a hospital, perhaps by its patients.
_searched: set[Path] = set()
#: Files whose names are the user's own, by convention pseudonyms.
OWN_NAMES = (".nii", ".nii.gz")
HARMLESS = re.compile(
    r"ct|cect|pet|pt|mri?|nm|t[12]|flair|labels|mask|seg|rtstruct|dicom|dcm|nifti|nii|images?|im|img|ima|series|ser|"
    r"study|scans?|anat|slices?|axial|cohort|index|json|np[yz]|0\d{0,5}|\d{1,3}"
)


class MedSynthError(Exception):
    """A mistake the user can mend, told in one message: what, where, the rule, the value seen, what to do.

    Every argument after ``what`` is optional and becomes one indented line. Never put a patient's name, identifier or
    date in any of them: a message ends up in logs and notebooks.

    >>> print(MedSynthError("CT values are not in HU", where="a/CT.nii.gz", rule="minimum below -200 HU", seen="0"))
    CT values are not in HU
      where: a/CT.nii.gz
      rule:  minimum below -200 HU
      seen:  0
    """

    def __init__(
        self, what: str, *, where: object = None, rule: object = None, seen: object = None, fix: object = None
    ):
        self.what, self.where, self.rule, self.seen, self.fix = what, where, rule, seen, fix
        where = shown_path(where) if isinstance(where, Path) else where
        lines = [("where", where), ("rule", rule), ("seen", seen), ("fix", fix)]
        super().__init__("\n".join([what, *(f"  {key + ':':<6} {value}" for key, value in lines if value is not None)]))


class InputError(MedSynthError):
    """A file, folder or array that breaks a rule of ours (corrupt, incomplete, wrong modality, NaN, mixed spacing)."""


class CheckpointError(MedSynthError):
    """A checkpoint that cannot be read, or that belongs to another system or configuration."""


class TrainingError(MedSynthError):
    """Training that had to stop: a loss that is not finite, an impossible setting."""


class StorageError(MedSynthError):
    """The disk refused: full, read-only, or not there."""


def remember_folder(folder: Path) -> None:
    """From now on ``shown_path`` hides names of files and folders inside ``folder``."""
    _searched.add(folder.absolute())


def shown_path(path: Path) -> str:
    """``path`` for a message or a report: below a folder that was searched, names that may be a patient's are hidden.

    Whatever lies amid a hospital's files may be called after its patient. Names of nothing but modalities, words such
    as "series" and short numbers stay; any other becomes ``~`` and four digits of a hash, which tell two names apart
    and no more. Names on the way to a NIfTI file stay: they are the user's pseudonyms.
    """
    around = [folder for folder in (path.absolute(), *path.absolute().parents) if folder in _searched]
    if not around or path.name.lower().endswith(OWN_NAMES):
        return str(path)
    hidden = len(path.absolute().relative_to(around[-1]).parts)  # of several, the one furthest up hides most
    parts = path.parts[: len(path.parts) - hidden], path.parts[len(path.parts) - hidden :]
    return str(Path(*parts[0], *(name if is_harmless(name) else hidden_name(name) for name in parts[1])))


def is_harmless(name: str) -> bool:
    """Whether a name of a folder or file is made of modalities, words such as "series" and short numbers only."""
    words = re.findall(r"t[12]|[a-z]+|[0-9]+|[^a-z0-9._\- ]", name.lower())
    return all(HARMLESS.fullmatch(word) for word in words)


def hidden_name(name: str) -> str:
    """``~`` and four hexadecimal digits of the name's SHA-256: 65536 of them, too few to tell a name."""
    return "~" + hashlib.sha256(name.encode(errors="replace")).hexdigest()[:4]
