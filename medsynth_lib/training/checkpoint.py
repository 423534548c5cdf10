"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from medsynth_lib.data.atomic import atomic_path, storage_errors
from medsynth_lib.errors import CheckpointError
from medsynth_lib.training import distributed
from medsynth_lib.training.compact import expand

PREFIX = "checkpoint-"
MODEL = "model.safetensors"


def save_checkpoint(run: Path, step: int, shared: Mapping[str, object], local: Mapping[str, object]) -> Path:
    """Write ``RUN/checkpoint-<step>/`` and drop older ones; it appears whole, after every process has written.

    ``shared`` is written by process 0 as ``shared.pt``; ``local`` (random state, replay pools) by each process as
    ``rank<N>.pt``. The run folder must be visible to all processes.
    """
    rank, run = distributed.rank(), Path(run)
    part, final = run / f".{PREFIX}{step:08d}.part", run / f"{PREFIX}{step:08d}"
    with storage_errors(final):
        if rank == 0:
            for unfinished in run.glob(f".{PREFIX}*.part"):
                shutil.rmtree(unfinished, ignore_errors=True)
            part.mkdir(parents=True)
        distributed.barrier()
        try:
            _save(local, part / f"rank{rank}.pt")
            if rank == 0:
                _save(shared, part / "shared.pt")
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            raise
        distributed.barrier()
        if rank == 0:
            shutil.rmtree(final, ignore_errors=True)
            os.replace(part, final)
            for old in checkpoints(run)[:-1]:
                shutil.rmtree(old, ignore_errors=True)
    return final


def _save(state: Mapping[str, object], path: Path) -> None:
    with open(path, "wb") as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # torch's zip writer hides the disk's own error as the cause
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        file.flush()
        os.fsync(file.fileno())


def checkpoints(run: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    return sorted(path for path in Path(run).glob(f"{PREFIX}*") if path.is_dir())


def last_step(run: Path) -> int:
    """How many steps the newest checkpoint of a run has behind it; 0 where there is none."""
    found = checkpoints(run)
    return int(found[-1].name.removeprefix(PREFIX)) if found else 0


def load_checkpoint(run: Path) -> tuple[dict, dict] | None:
    """(shared, this process' local) state of the newest checkpoint, or ``None`` where the run has none.

    Raises:
        CheckpointError: a file is missing, damaged, or holds anything but tensors and plain values.
    """
    found = checkpoints(run)
    if not found:
        return None
    return _load(found[-1] / "shared.pt"), _load(found[-1] / f"rank{distributed.rank()}.pt")


def _load(path: Path) -> dict:
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load itself does not look at the checksums
            damaged = archive.testzip()
        state = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"{damaged} does not have its checksum" if damaged else f"a {type(state).__name__}")
        return state
    except FileNotFoundError:
        raise CheckpointError(
            "the checkpoint is incomplete",
            where=path,
            rule="as many processes as when it was written",
            fix="resume with the same number of processes, or delete the run folder",
        ) from None
    except Exception as error:  # damaged bytes make the readers raise nearly anything
        raise CheckpointError(
            "the checkpoint cannot be read",
            where=path,
            rule="tensors and plain values, written by MedSynth",
            seen=f"{type(error).__name__}: {error}".splitlines()[0][:120],
            fix="delete this checkpoint folder: training starts again from the beginning",
        ) from error


def save_model(path: Path, networks: Mapping[str, nn.Module], about: Mapping[str, object]) -> None:
    """Write the networks used for inference, with what is needed to use them, as one safetensors file."""
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }
    write_model(path, tensors, about)


def write_model(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, object]) -> None:
    """``save_model``, for tensors that already have their names."""
    with atomic_path(path) as temporary:
        # Written by Python: safetensors' own writer does not say that the disk is full.
        temporary.write_bytes(save(dict(tensors), metadata={"medsynth": json.dumps(about)}))


def load_model(path: Path) -> tuple[dict[str, Tensor], dict]:
    """(tensors, what ``save_model`` was told) of a model file; ``path`` may be the run folder.

    Raises:
        CheckpointError: no such file, not a safetensors file, or not ours.
    """
    path = Path(path)
    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise CheckpointError(
            "there is no trained model here", where=path, fix="train one with `medsynth train`, or check the path"
        )
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["medsynth"])
            return expand({key: file.get_tensor(key) for key in file.keys()}), about  # noqa: SIM118, no mapping
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            "the model file cannot be read", where=path, rule="a safetensors file written by MedSynth", seen=str(error)
        ) from error


def model_digest(path: str | Path) -> str:
    """SHA-256 of a model file, in hexadecimal: which weights made an image. ``path`` may be the run folder."""
    path = Path(path)
    return hashlib.sha256((path / MODEL if path.is_dir() else path).read_bytes()).hexdigest()
