"""200 damaged inputs: each ends in one clear message, a reported skip or a sound result; never in a traceback, a
half-written file or a hang."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.uid import generate_uid

from medsynth_lib.data.inspect import convert, format_report, inspect
from medsynth_lib.data.nifti import write_nifti
from medsynth_lib.data.prepare import PrepareConfig, prepare
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import MedSynthError
from tests.data import damage
from tests.data.dicom_factory import make_series, save, stored_values

COUNT = 200
#: All images are of one patient in one place, so that any two modalities make a pair.
FRAME, NIFTI_AFFINE = generate_uid(), np.diag([1.5, 2, 3, 1])
SECRETS = ("Secret^Name", "HOSPITAL-4711", "19500607")


def through_inspect(source: Path, out: Path) -> str:
    report = inspect(source)
    told = json.dumps(report) + format_report(report)
    assert all(entry["readable"] or entry["problems"] for entry in report["images"])
    return told


def through_convert(source: Path, out: Path) -> str:
    report = convert(source, out / "image.nii.gz")
    written = nibabel.load(out / "image.nii.gz")
    assert np.isfinite(written.get_fdata()).all()
    assert np.isfinite(written.affine).all()
    return str(report)


def through_prepare(source: Path, out: Path) -> str:
    """The damaged image beside good ones of the same patient: used where its header lets it pair, else passed over."""
    add_partners(source)
    lines: list[str] = []
    store = prepare(source, out / "store", PrepareConfig(size=32, test=0.0), report=lines.append)
    assert np.isfinite(store["PET"]).all()
    assert store["CT"].min() >= -1024
    assert sorted(path.name for path in out.iterdir()) == ["store"]
    return "\n".join(lines) + (out / "store" / "index.json").read_text()


def add_partners(folder: Path) -> None:
    """A good CT and PET as DICOM and as NIfTI, in the place of the good inputs, after them in the order of names."""
    for modality in ("CT", "PT"):
        save(make_series(modality, FrameOfReferenceUID=FRAME), folder / "z" / modality)
    for modality, (array, unit) in nifti_images().items():
        write_nifti(Volume(array, NIFTI_AFFINE, modality, unit), folder / f"z_{modality}.nii")


#: What every damaged input goes through: ``operation(source, empty output folder)`` returns what it told the user. The
#: last one adds to the source.
OPERATIONS = [through_inspect, through_convert, through_prepare]


def nifti_images() -> dict[str, tuple[np.ndarray, str]]:
    values = stored_values().astype(np.float32).transpose(2, 1, 0)
    return {
        "CT": (values - 1000, "HU"),
        "PET": (values / 200, "SUVbw"),
        "LABELS": (values.astype(int) // 300, "label"),
    }


@pytest.fixture(scope="module")
def good_inputs(tmp_path_factory, request):
    """Folders with one good image each: DICOM series and NIfTI files, small real ones too where they are."""
    root = tmp_path_factory.mktemp("good")
    for modality in ("CT", "PT", "MR"):
        save(make_series(modality, FrameOfReferenceUID=FRAME), root / "dicom" / modality)
    for modality, (array, unit) in nifti_images().items():
        for ending in (".nii", ".nii.gz"):
            folder = root / "nifti" / f"{modality}{ending}"
            write_nifti(Volume(array, NIFTI_AFFINE, modality, unit), folder / f"{modality}{ending}")
    with contextlib.suppress(pytest.skip.Exception):  # the synthetic ones are enough
        _add_real(root, request.getfixturevalue("realdata"))
    return {kind: sorted((root / kind).iterdir()) for kind in ("dicom", "nifti")}


def _add_real(root: Path, realdata: Path) -> None:
    for modality in ("CT", "PET"):
        images = sorted((realdata / "sts-dicom" / "STS_002" / modality / "dicom" / "image").iterdir())[:10]
        (root / "dicom" / f"real {modality}").mkdir()
        for image in images:
            shutil.copy(image, root / "dicom" / f"real {modality}")
    (root / "nifti" / "real").mkdir()
    shutil.copy(realdata / "sts-nifti" / "STS_002" / "PET_image.nii.gz", root / "nifti" / "real")


def make_damaged(good_inputs: dict[str, list[Path]], case: int, folder: Path) -> str:
    """Copy a good input to ``folder`` and damage it; everything follows from the number of the case."""
    rng = np.random.default_rng(case)
    kind = ("dicom", "nifti")[case % 2]
    kinds = damage.ANY + (damage.DICOM if kind == "dicom" else damage.NIFTI)
    chosen = kinds[(case // 2) % len(kinds)]
    shutil.copytree(good_inputs[kind][rng.integers(len(good_inputs[kind]))], folder)
    chosen(folder, rng)
    return chosen.__name__


@pytest.mark.timeout(30)
@pytest.mark.parametrize("case", range(COUNT))
def test_damaged_input_ends_well(good_inputs, tmp_path, capfd, case):
    source, outcomes = tmp_path / "patient", []
    name = make_damaged(good_inputs, case, source)
    for operation in OPERATIONS:
        out = tmp_path / operation.__name__
        out.mkdir()
        try:
            told = operation(source, out)
        except MedSynthError as error:
            told = str(error)
            assert list(out.iterdir()) == [], f"{name}: partial output"
        assert not any(secret in told for secret in SECRETS), f"{name}: identifier told"
        outcomes.append(told)
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert len(outcomes) == len(OPERATIONS)


def test_undamaged_inputs_do_convert(good_inputs, tmp_path):
    """The cases above would all pass if everything were refused; what is good must get through."""
    for kind, folders in good_inputs.items():
        for index, folder in enumerate(folders):
            out = tmp_path / kind / str(index)
            out.mkdir(parents=True)
            through_inspect(folder, out)
            through_convert(folder, out)
            copy = tmp_path / f"copy of {kind} {index}"
            shutil.copytree(folder, copy)
            (out / "prepared").mkdir()
            assert "prepared" in through_prepare(copy, out / "prepared")
