"""Published weights from a file the user has: read as tensors only, and recognised by their checksum.

A distance is called FID or LPIPS only if the weights *are* the published ones, so a file is recognised by the first
eight digits of its SHA-256, which such files carry in their names; any other file is refused. TorchScript archives are
refused as well: they hold a program, whose operators may read and write files, where all we want is numbers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medsynth_lib.errors import InputError


@dataclass(frozen=True)
class PublishedWeights:
    """A file of weights as published: what it is ``called``, the first digits of its ``sha256``, and its ``origin``."""

    called: str
    sha256: str
    origin: str


def load_published(path: str | Path | None, published: PublishedWeights) -> dict[str, Tensor]:
    """The tensors of ``published``, from the file at ``path``; nothing is ever downloaded.

    Raises:
        InputError: no path or no such file (the message says what to supply), another file, or one that holds more
            than tensors.
    """
    if path is None or not Path(path).is_file():
        raise InputError(
            f"the weights {published.called} are not here, and MedSynth downloads nothing",
            where="no path given" if path is None else path,
            rule=f"a file whose SHA-256 begins with {published.sha256}",
            fix=f"get it from {published.origin} and pass its path; without it use features of the course's own",
        )
    seen = _sha256(Path(path))[: len(published.sha256)]
    if seen != published.sha256:
        raise InputError(
            f"this file is not {published.called}",
            where=path,
            rule=f"SHA-256 beginning with {published.sha256}: other weights would give another measure",
            seen=seen,
            fix=f"get it again from {published.origin}",
        )
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged or foreign bytes make the reader raise nearly anything
        raise InputError(
            "the weights cannot be read", where=path, rule="tensors only", seen=str(error).splitlines()[0][:120]
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(one, Tensor) for one in tensors.values()):
        raise InputError("the weights cannot be read", where=path, rule="a mapping of names to tensors")
    return dict(tensors)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
