"""The one kind of error a user of MedSynth should ever read."""

from __future__ import annotations


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
