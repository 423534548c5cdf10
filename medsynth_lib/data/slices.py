"""The slice store: prepared 2-D slices on disk, one memory-mapped array per modality and one index."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from medsynth_lib.data.intensity import IntensityWindow
from medsynth_lib.errors import InputError

FORMAT = "medsynth slice store 1"
INDEX = "index.json"
BODY = "BODY"
SPLITS = ("train", "validation", "test")


def storage_dtype(modality: str) -> np.dtype:
    """How a modality is kept: CT as whole HU, masks as bytes, everything else as float32."""
    return np.dtype({"CT": np.int16, "CECT": np.int16, "LABELS": np.uint8, BODY: np.bool_}.get(modality, np.float32))


@dataclass(frozen=True)
class StoredPatient:
    """What the index knows of a patient: its split, its slices ``start:stop``, and each modality's window.

    ``centre_mm`` is where the middle of every slice lies (x, y in the scanner's RAS+ system), ``z_mm`` its height.
    """

    key: str
    split: str
    start: int
    stop: int
    spacing_mm: tuple[float, float, float]
    z_mm: tuple[float, ...]
    windows: Mapping[str, IntensityWindow]
    problems: tuple[str, ...] = ()
    centre_mm: tuple[float, float] | None = None  # of stores made before it was kept


@dataclass(frozen=True)
class SliceStore:
    """Slices ``(N, H, W)`` in physical units, patient after patient, feet first; opened, never loaded.

    ``store["CT"][i]`` is a slice in HU; only the pages touched are read, so memory does not grow with the store.
    """

    path: Path
    patients: tuple[StoredPatient, ...]
    modalities: tuple[str, ...]
    size: int
    settings: Mapping[str, object]
    skipped: tuple[tuple[str, str], ...]
    synthetic: bool

    @classmethod
    def open(cls, path: str | Path) -> SliceStore:
        """Open a store that ``prepare`` wrote.

        Raises:
            InputError: the folder is no slice store, or is damaged.
        """
        path = Path(path)
        if not (path / INDEX).is_file():
            raise InputError(
                "this is not a slice store",
                where=path,
                rule=f"a folder with {INDEX}",
                fix="make one with `medsynth prepare COHORT --out STORE`",
            )
        try:
            index = json.loads((path / INDEX).read_text(encoding="utf-8"))
            if index["format"] != FORMAT:
                raise InputError("unknown slice store format", where=path, rule=FORMAT, seen=index["format"])
            store = cls(
                path=path,
                patients=tuple(_patient(entry) for entry in index["patients"]),
                modalities=tuple(index["modalities"]),
                size=index["size"],
                settings=index["settings"],
                skipped=tuple((key, reason) for key, reason in index["skipped"]),
                synthetic=index["synthetic"],
            )
            _check_order(store.patients)
            _ = store.settings["source"], store.settings["target"]
            for modality in (*store.modalities, BODY):
                store[modality]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                "the slice store's index is damaged", where=path / INDEX, seen=repr(error), fix="prepare it again"
            ) from error
        return store

    def __getitem__(self, modality: str) -> np.ndarray:
        return self._arrays(modality)

    def __len__(self) -> int:
        return self.patients[-1].stop

    @cached_property
    def _opened(self) -> dict[str, np.ndarray]:
        return {}

    def _arrays(self, modality: str) -> np.ndarray:
        if modality not in self._opened:
            path = self.path / f"{modality}.npy"
            try:
                array = np.lib.format.open_memmap(path, mode="r")
            except FileNotFoundError:
                raise InputError(
                    f"the slice store has no {modality}", where=self.path, rule=f"one of {', '.join(self.modalities)}"
                ) from None
            except Exception as error:  # damaged bytes make numpy's header parser raise nearly anything
                raise InputError(
                    "a slice array is damaged", where=path, seen=repr(error)[:200], fix="prepare it again"
                ) from error
            expected = (len(self), self.size, self.size)
            if array.shape != expected or array.dtype != storage_dtype(modality):
                raise InputError(
                    "a slice array does not fit its index",
                    where=path,
                    rule=f"{expected} {storage_dtype(modality)}",
                    seen=f"{array.shape} {array.dtype}",
                    fix="prepare it again",
                )
            self._opened[modality] = array
        return self._opened[modality]

    def split(self, name: str) -> tuple[StoredPatient, ...]:
        """The patients of ``train``, ``validation`` or ``test``."""
        if name not in SPLITS:
            raise InputError("unknown split", rule=f"one of {', '.join(SPLITS)}", seen=name)
        return tuple(patient for patient in self.patients if patient.split == name)

    def patient_of(self, index: int) -> StoredPatient:
        """The patient that slice ``index`` belongs to."""
        return self.patients[int(np.searchsorted(self._starts, index, side="right")) - 1]

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.array([patient.start for patient in self.patients])

    def window(self, modality: str) -> IntensityWindow:
        """The window shared by all patients (CT, PET).

        Raises:
            InputError: each patient has its own, as MR does.
        """
        windows = {patient.windows[modality] for patient in self.patients}
        if len(windows) != 1:
            raise InputError(f"{modality} has a window per patient, not one for all", where=self.path)
        return windows.pop()


def _check_order(patients: tuple[StoredPatient, ...]) -> None:
    start = 0
    for patient in patients:
        if patient.start != start or patient.stop != start + len(patient.z_mm) or patient.split not in SPLITS:
            raise ValueError(f"patient {patient.key}: slices {patient.start} to {patient.stop} of {patient.split}")
        start = patient.stop
    if start == 0:
        raise ValueError("no slices")


def _patient(entry: dict) -> StoredPatient:
    windows = {modality: IntensityWindow(**window) for modality, window in entry["windows"].items()}
    words = ("spacing_mm", "z_mm", "problems", *(["centre_mm"] if "centre_mm" in entry else []))
    tuples = {key: tuple(entry[key]) for key in words}
    return StoredPatient(**{**entry, **tuples, "windows": windows})


def write_index(folder: Path, patients: Sequence[dict], **content: object) -> None:
    """Write the index of a store whose arrays are already in ``folder``."""
    index = {"format": FORMAT, **content, "patients": list(patients)}
    (folder / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
