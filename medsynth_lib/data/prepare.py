"""From a cohort to a slice store: body mask, one grid per patient, artefact removal, pairing, patient-level split."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from medsynth_lib.conventions import MODALITIES, axial_slice
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.body import clean_source, remove_artefacts
from medsynth_lib.data.cohort import Cohort, Pair, discover
from medsynth_lib.data.framing import gap_mm, on_grid, pair_planes, reference_grid, shared_body, within
from medsynth_lib.data.intensity import DEFAULT_WINDOWS, IntensityWindow, percentile_window
from medsynth_lib.data.label_check import doubts
from medsynth_lib.data.slices import BODY, INDEX, SliceStore, storage_dtype, write_index
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError

#: Goes up whenever the same cohort and settings give other slices.
VERSION = 3
#: Slices where less than this part is patient teach nothing and make InstanceNorm divide by zero.
SMALLEST_BODY = 0.02
#: What is known of a patient, beside its arrays, until the store is put together.
ABOUT = "patient.json"


@dataclass(frozen=True)
class PrepareConfig:
    """How a cohort becomes slices.

    Args:
        source, target: modalities, the image given and the image wanted.
        size: slices are ``size`` x ``size``.
        fov_mm: side of the square shown; ``None`` fits it to each patient's body.
        pairing: ``"resample"`` puts the source on the target's planes; ``"position"`` uses planes as they are and
            pairs those whose positions differ by at most ``tolerance_mm`` (001 §2.1: 0.2 mm).
        test, validation: patients for each split, as a part of the cohort or as patient keys.
        seed: chooses the patients of a split given as a part.
        windows: modality → (low, high) in physical units, where the default is not wanted.
        also: further modalities to keep on the same pixels, as ``("LABELS",)``; a patient without them is skipped.
    """

    source: str = "PET"
    target: str = "CT"
    size: int = 256
    fov_mm: float | None = None
    pairing: str = "resample"
    tolerance_mm: float = 0.2
    test: float | tuple[str, ...] = 0.25
    validation: float | tuple[str, ...] = 0.0
    seed: int = 0
    windows: dict[str, tuple[float, float]] = field(default_factory=dict)
    also: tuple[str, ...] = ()

    @property
    def modalities(self) -> tuple[str, ...]:
        """All that is stored: source, target and ``also``."""
        return (self.source, self.target, *self.also)

    def __post_init__(self):
        for name in (*self.modalities, *self.windows):
            if name not in MODALITIES:
                raise InputError("unknown modality", rule=f"one of {', '.join(MODALITIES)}", seen=name)
        if len(set(self.modalities)) < len(self.modalities):
            raise InputError("source, target and also must differ", seen=", ".join(self.modalities))
        if "LABELS" in self.windows:
            raise InputError("class numbers have one window only", rule="no window for LABELS")
        if self.also and self.pairing == "position":
            raise InputError("further modalities need resampling", rule='pairing="resample" with also', seen=self.also)
        if not 32 <= self.size <= 1024 or self.size % 8:
            raise InputError("slice size", rule="a multiple of 8 from 32 to 1024", seen=self.size)
        if self.fov_mm is not None and not 10 <= self.fov_mm <= 2000:
            raise InputError("field of view", rule="10 to 2000 mm", seen=self.fov_mm)
        if self.pairing not in ("resample", "position"):
            raise InputError("unknown pairing", rule="resample or position", seen=self.pairing)
        if not 0 <= self.tolerance_mm <= 50:
            raise InputError("position tolerance", rule="0 to 50 mm", seen=self.tolerance_mm)


def prepare(
    root: str | Path,
    out: str | Path,
    config: PrepareConfig | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> SliceStore:
    """Turn the cohort at ``root`` into a slice store at ``out``, once.

    Patients are processed one at a time and kept beside ``out`` until all are done, so an interrupted run goes on where
    it stopped; ``out`` itself appears whole or not at all. A patient that cannot be used is skipped and the reason kept
    in the index and passed to ``report``; so is one whose scan is another patient's, or a copy in the test would be a
    slice already seen. If ``out`` already holds exactly this, it is opened at once.

    Raises:
        InputError: no usable patient, or ``out`` holds something else.
        StorageError: the disk refused.
    """
    root, out, config = Path(root), Path(out), config or PrepareConfig()
    cohort = discover(root)
    pairs, skipped = choose_pairs(cohort, config)
    fingerprint = _fingerprint(config, pairs)
    if out.exists():
        return _existing(out, fingerprint)
    for note in (*cohort.problems, *(f"{patient}: skipped, {reason}" for patient, reason in skipped.items())):
        report(note)
    choose_splits([pair.patient for pair in pairs], config)  # a mistake in the splits shows before an hour of work
    parts = out.parent / f".{out.name}.{fingerprint[:12]}.parts"
    try:
        done, failed = _prepare_patients(pairs, config, parts, report)
        skipped |= failed
        if not done:
            raise InputError(
                "no patient could be prepared",
                where=root,
                seen="; ".join(f"{patient}: {reason}" for patient, reason in skipped.items()),
                fix="look at `medsynth inspect`",
            )
        splits = choose_splits(done, config)
    except InputError:
        shutil.rmtree(parts, ignore_errors=True)  # another cohort or other settings will not use them
        raise
    with atomic_path(out) as folder:
        folder.mkdir()
        _assemble(folder, [parts / patient for patient in done], splits, config, fingerprint, skipped, cohort)
    shutil.rmtree(parts, ignore_errors=True)
    return SliceStore.open(out)


def choose_pairs(cohort: Cohort, config: PrepareConfig) -> tuple[list[Pair], dict[str, str]]:
    """Each patient's source, target and ``config.also``, and why the other patients lack them.

    Raises:
        InputError: no patient has them all.
    """
    chosen = config.source, config.target, config.also
    return cohort.pairs(*chosen), dict(sorted(cohort.unpaired(*chosen).items()))


def choose_splits(patients: list[str], config: PrepareConfig) -> dict[str, str]:
    """Patient → ``train``, ``validation`` or ``test``. Whole patients: neighbouring slices are near copies."""
    order = list(np.random.default_rng(config.seed).permutation(sorted(patients)))
    splits = dict.fromkeys(patients, "train")
    wishes = [("test", config.test), ("validation", config.validation)]
    for name, wanted in sorted(wishes, key=lambda wish: not isinstance(wish[1], tuple)):  # patients named come first
        if isinstance(wanted, tuple):
            unknown = [patient for patient in wanted if patient not in splits]
            if unknown:
                raise InputError(
                    f"unknown {name} patients",
                    rule=f"among {', '.join(patients)}",
                    seen=unknown,
                    fix="check the names; a patient that was skipped has no split",
                )
            chosen = list(wanted)
        else:
            if not 0 <= wanted < 1:
                raise InputError(f"{name} part", rule="from 0 up to, not including, 1", seen=wanted)
            count = max(1, round(wanted * len(patients))) if wanted else 0
            chosen = [patient for patient in order if splits[patient] == "train"][:count]
        if any(splits[patient] != "train" for patient in chosen):
            raise InputError("a patient is in two splits", rule="test and validation do not overlap", seen=chosen)
        splits.update(dict.fromkeys(chosen, name))
    if "train" not in splits.values():
        raise InputError(
            "no patient is left to train on",
            rule="at least one beside those of the test and validation splits",
            seen=f"{len(patients)} usable patients",
            fix="add patients, or keep all of them for training: --test 0 --validation 0",
        )
    return splits


def default_window(modality: str, volume: Volume, chosen: dict[str, tuple[float, float]]) -> IntensityWindow:
    """The window of ``modality``: the one chosen, the default, or the volume's own percentiles (MR)."""
    if modality in chosen:
        return IntensityWindow(*map(float, chosen[modality]), MODALITIES[modality])
    return DEFAULT_WINDOWS.get(modality) or percentile_window(volume.array)


def _prepare_patients(
    pairs: list[Pair], config: PrepareConfig, parts: Path, report: Callable[[str], None]
) -> tuple[list[str], dict[str, str]]:
    """Patients prepared under ``parts``, now or earlier, and those that cannot be with the reason."""
    done, failed, scans = [], {}, {}
    for pair in pairs:
        try:
            if not (parts / pair.patient / ABOUT).is_file():
                with atomic_path(parts / pair.patient) as folder:
                    _prepare_patient(pair, config, folder)
            about = _about(parts / pair.patient)
            _check_new(about["scans"], scans)
            scans |= {digest: pair.patient for digest in about["scans"].values()}
            done.append(pair.patient)
            report("\n  note: ".join([f"{pair.patient}: prepared", *about["problems"]]))
        except InputError as error:
            failed[pair.patient] = error.what
            report(f"{pair.patient}: skipped\n{error}")
    return done, failed


def _check_new(scans: dict[str, str], known: dict[str, str]) -> None:
    for modality, digest in scans.items():
        if digest in known:
            raise InputError(
                f"its {modality} is that of {known[digest]}, voxel for voxel",
                rule="each scan once: a copy in another split would be tested on what was trained on",
                fix="remove one of the two folders",
            )


def _about(part: Path) -> dict:
    return json.loads((part / ABOUT).read_text(encoding="utf-8"))


def _digest(volume: Volume) -> str:
    """Of the voxels alone: the same for a copy of a scan under other names, in another format or packed otherwise."""
    return hashlib.sha256(np.ascontiguousarray(volume.array, np.float32).data).hexdigest()


def _prepare_patient(pair: Pair, config: PrepareConfig, folder: Path) -> None:
    source, target, *also = (_checked(image.read()) for image in (pair.source, pair.target, *pair.also))
    problems = [*pair.problems, *source.problems, *target.problems]
    scans = {volume.modality: _digest(volume) for volume in (source, target) if volume.unit != "label"}
    if config.pairing == "position":
        source, target, z_mm = pair_planes(source, target, config.tolerance_mm)
    else:
        target = target.to_even_planes()
        z_mm = target.z_mm()
    # Framed by the source alone, as at inference: the target's outline is part of the answer.
    grid = reference_grid(source, shared_body(source, target), config.size, config.fov_mm, planes=target)
    source, seen = on_grid(source, grid)
    target, body = remove_artefacts(within(on_grid(target, grid)[0], seen))
    source, body = clean_source(source), body & seen
    also = [within(on_grid(volume, grid)[0], seen) for volume in also]
    keep = np.flatnonzero(body.mean(axis=(0, 1)) >= SMALLEST_BODY)
    if len(keep) == 0:
        raise InputError(
            "no slice shows enough of the patient", rule=f"{SMALLEST_BODY:.0%} of the pixels, and both modalities"
        )
    folder.mkdir()
    volumes = (source, target, *also)
    problems += doubts(volumes)
    images = {volume.modality: volume.array for volume in volumes} | {BODY: body}
    for modality, array in images.items():
        slices = _stored([axial_slice(array, z) for z in keep], modality)
        _write_array(folder / f"{modality}.npy", slices.shape, slices.dtype, [slices])
    about = {
        "key": pair.patient,
        "spacing_mm": (*grid.spacing_mm[:2], gap_mm(z_mm, grid)),
        "z_mm": [round(float(z_mm[z]), 4) for z in keep],
        "centre_mm": [round(float(mm), 4) for mm in (grid.affine @ [*[(config.size - 1) / 2] * 2, 0, 1])[:2]],
        "windows": {
            volume.modality: default_window(volume.modality, volume, config.windows).to_dict() for volume in volumes
        },
        "problems": problems,
        "scans": scans,
    }
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")


def _checked(volume: Volume) -> Volume:
    """The volume; a label map only if its numbers are our classes."""
    if volume.unit == "label":
        high = int(DEFAULT_WINDOWS["LABELS"].high)
        unknown = [int(number) for number in np.unique(volume.array) if not 0 <= number <= high]
        if unknown:
            raise InputError(
                "label numbers that are no class of the course",
                rule=f"0 to {high} (medsynth_lib/data/classes.py)",
                seen=", ".join(map(str, unknown[:10])),
                fix="merge the labels into these classes first: medsynth labels merge",
            )
    return volume


def _stored(slices: list[np.ndarray], modality: str) -> np.ndarray:
    dtype, stacked = storage_dtype(modality), np.stack(slices)
    return np.rint(stacked).astype(dtype) if dtype.kind in "iu" else stacked.astype(dtype)


def _write_array(path: Path, shape: tuple[int, ...], dtype: np.dtype, blocks: Iterable[np.ndarray]) -> None:
    """An .npy file from consecutive blocks, by plain writes: they say when the disk is full. ``np.save`` drops the
    disk's reason, and a memory map dies of it."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype).data)


def _assemble(
    folder: Path,
    parts: list[Path],
    splits: dict[str, str],
    config: PrepareConfig,
    fingerprint: str,
    skipped: dict[str, str],
    cohort: Cohort,
) -> None:
    """Join the patients' arrays, copying one patient at a time, and write the index."""
    entries, start = [], 0
    for part in parts:
        about = {key: value for key, value in _about(part).items() if key != "scans"}
        stop = start + len(about["z_mm"])
        entries.append({**about, "split": splits[about["key"]], "start": start, "stop": stop})
        start = stop
    for modality in (*config.modalities, BODY):
        shape = (start, config.size, config.size)
        slices = (np.load(part / f"{modality}.npy", allow_pickle=False) for part in parts)
        _write_array(folder / f"{modality}.npy", shape, storage_dtype(modality), slices)
    write_index(
        folder,
        entries,
        modalities=list(config.modalities),
        size=config.size,
        settings={**asdict(config), "fingerprint": fingerprint, "license": cohort.license},
        skipped=list(skipped.items()),
        synthetic=cohort.synthetic,
    )


def _fingerprint(config: PrepareConfig, pairs: list[Pair]) -> str:
    images = [
        (pair.patient, image.shape, [round(float(v), 4) for v in image.grid.affine.ravel()], image.stamps())
        for pair in pairs
        for image in (pair.source, pair.target, *pair.also)
    ]
    return hashlib.sha256(json.dumps([VERSION, asdict(config), images]).encode()).hexdigest()


def _existing(out: Path, fingerprint: str) -> SliceStore:
    if (out / INDEX).is_file():
        store = SliceStore.open(out)
        if store.settings.get("fingerprint") == fingerprint:
            return store
    raise InputError(
        "the output already holds something else",
        where=out,
        rule="a new folder, or the store of the same cohort and settings",
        fix="choose another --out, or delete it",
    )
