"""From small cohorts of known geometry to a slice store: what is shown, what is paired, who is where, and what remains
when it is stopped half-way."""

from __future__ import annotations

import json
import multiprocessing
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from medsynth_lib.cli import main
from medsynth_lib.cli.data import _part_or_names
from medsynth_lib.conventions import axial_slice
from medsynth_lib.data import prepare as prepare_module
from medsynth_lib.data.body import body_mask
from medsynth_lib.data.framing import MARGIN_MM, on_grid, pair_planes, reference_grid, shared_body
from medsynth_lib.data.nifti import read_nifti, write_nifti
from medsynth_lib.data.prepare import PrepareConfig, choose_splits, prepare
from medsynth_lib.data.slices import BODY, INDEX
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError, StorageError
from tests.data import prepare_worker
from tests.data.cohort_factory import (
    BODY_MM,
    LUNG_HU,
    SPOT_SUV,
    TABLE_HU,
    TABLE_Y_MM,
    ct,
    pet,
    write_cohort,
    write_patient,
)
from tests.data.dicom_factory import make_series, save, stored_values

CONFIG = PrepareConfig(size=64)

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["medsynth_lib.data.prepare"])


def run(target, *arguments) -> int:
    process = processes.Process(target=target, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def store(cohort, tmp_path_factory):
    return prepare(cohort, tmp_path_factory.mktemp("stores") / "store", CONFIG)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def beside(out: Path) -> list[str]:
    """What lies in the folder of ``out`` besides it, hidden or not."""
    return sorted(path.name for path in out.parent.iterdir() if path != out)


# What a slice shows


def test_the_body_is_kept_and_the_table_is_air(store):
    assert TABLE_HU not in store["CT"]
    for patient in store.patients:
        scale = 1 - 0.03 * (int(patient.key[1:]) - 1)
        for index in range(patient.start, patient.stop):
            body, image = store[BODY][index], store["CT"][index]
            area_mm2 = body.sum() * patient.spacing_mm[0] * patient.spacing_mm[1]
            assert area_mm2 == pytest.approx(np.pi * BODY_MM[0] * BODY_MM[1] * scale**2, rel=0.02)
            assert (image[~body] == -1000).all()
            assert (image == LUNG_HU).sum() > 20  # air within the patient is patient
            assert np.median(image[ndimage.binary_erosion(body, iterations=3)]) == 40


def test_the_table_was_there_to_be_removed():
    """The same grid on the CT as it was shows it."""
    volume = ct()
    grid = reference_grid(volume, body_mask(volume), 64)
    y = grid.affine[1, 3] + grid.affine[1, 1] * np.arange(64)
    assert volume.resample_to(grid, fill=-1000).array[:5, abs(y - TABLE_Y_MM) < 4].max() > -600


def test_the_source_is_never_masked_by_the_target(store):
    """Stored PET is the PET alone on the common grid, bit for bit: nothing of the CT's outline is in its values."""
    for patient in store.patients:
        scale = 1 - 0.03 * (int(patient.key[1:]) - 1)
        source = pet(scale=scale)
        grid = reference_grid(source, body_mask(source), 64, planes=ct(scale=scale))
        alone = source.resample_to(grid).array
        stored = store["PET"][patient.start : patient.stop]
        np.testing.assert_array_equal(stored, np.stack([axial_slice(alone, z) for z in range(grid.shape[2])]))
    outside = store["PET"][:][~store[BODY][:]]
    assert outside.max() > 0.7 * SPOT_SUV
    assert np.percentile(outside, 50) > 0  # its noise is there, too


def test_what_the_source_does_not_show_is_not_asked_for(tmp_path):
    """A PET that ends in the middle of the patient: the CT beyond its field of view is air, and no body to score."""
    whole = pet()
    half = replace(whole, array=whole.array[:34])
    write_patient(tmp_path / "cohort", "P1", ct(), half)
    store = prepare(tmp_path / "cohort", tmp_path / "store", replace(CONFIG, test=0.0))
    grid = reference_grid(half, shared_body(half, ct()), 64, planes=ct())
    seen = on_grid(half, grid)[1]
    unseen = np.stack([axial_slice(~seen, z) for z in range(grid.shape[2])])
    assert unseen.mean() > 0.05
    assert on_grid(ct(), grid)[0].array[~seen].max() > -200  # the patient goes on there
    assert (store["CT"][:][unseen] == -1000).all()
    assert not store[BODY][:][unseen].any()


def test_the_frame_is_that_of_the_source_alone(tmp_path):
    """A CT that shows more or less around the same PET: the same pixels."""
    grids = []
    for scale in (1.0, 0.8):
        write_patient(tmp_path / str(scale), "P1", ct(scale=scale), pet())
        store = prepare(tmp_path / str(scale), tmp_path / f"{scale} store", replace(CONFIG, test=0.0))
        grids.append(store.patients[0].spacing_mm)
    assert grids[0] == grids[1]


def test_a_ct_source_loses_its_table_by_its_own_outline(tmp_path):
    write_patient(tmp_path / "cohort", "P1", ct(), pet())
    reverse = prepare(tmp_path / "cohort", tmp_path / "store", replace(CONFIG, source="CT", target="PET", test=0.0))
    assert TABLE_HU not in reverse["CT"]
    assert (reverse["CT"][:] == LUNG_HU).any()


def test_what_is_inside_the_target_does_not_change_the_source(tmp_path):
    """Two CTs of one outline, with and without lungs and table: the same PET slices."""
    stores = []
    for name in ("with", "without"):
        target = ct()
        if name == "without":
            target = target.with_array(np.where(body_mask(target), 40, -1000).astype(np.float32))
        write_patient(tmp_path / name, "P1", target, pet())
        stores.append(prepare(tmp_path / name, tmp_path / f"{name} store", replace(CONFIG, test=0.0)))
    np.testing.assert_array_equal(stores[0]["PET"][:], stores[1]["PET"][:])
    assert not np.array_equal(stores[0]["CT"][:], stores[1]["CT"][:])


@pytest.mark.parametrize("shift_mm", [(0, 0), (37, -21)])
def test_the_grid_is_a_square_around_the_body_with_a_margin(shift_mm):
    volume = ct()
    volume.affine[:2, 3] += shift_mm
    grid = reference_grid(volume, body_mask(volume), 64)
    side = 64 * grid.spacing_mm[0]
    assert grid.spacing_mm[0] == pytest.approx(grid.spacing_mm[1])
    assert side == pytest.approx(2 * BODY_MM[0] + 2 * MARGIN_MM, abs=2 * 4.0)  # the body is known to a pixel
    centre = grid.affine @ [31.5, 31.5, 0, 1]
    np.testing.assert_allclose(centre[:2], shift_mm, atol=2.1)
    assert reference_grid(volume, body_mask(volume), 64, fov_mm=320).spacing_mm[0] == pytest.approx(5.0)


def test_slices_are_seen_from_the_feet_with_the_front_on_top(tmp_path):
    """A nodule in the patient's front, on the right: top left of the slice."""
    target = ct()
    x, y = np.meshgrid(np.linspace(-198, 198, 100), np.linspace(-148, 148, 75), indexing="ij")
    target.array[np.hypot(x - 70, y - 55) < 12] = 900.0  # x grows to the right, y to the front
    write_patient(tmp_path / "cohort", "P1", target, pet())
    store = prepare(tmp_path / "cohort", tmp_path / "store", replace(CONFIG, test=0.0))
    row, column = ndimage.center_of_mass(store["CT"][2] > 800)
    assert row < 28  # of 64
    assert column < 28


def test_ct_is_kept_to_half_a_unit_and_windows_as_chosen(tmp_path, cohort):
    config = replace(CONFIG, windows={"PET": (0, 5)})
    store = prepare(cohort, tmp_path / "store", config)
    assert store.window("PET").high == 5
    assert store.window("CT").low == -1000
    target, source = ct(), pet()
    grid = reference_grid(source, body_mask(source), 64, planes=target)
    exact = axial_slice(target.resample_to(grid, fill=-1000).array, 3)
    inside = store[BODY][3]
    assert abs(store["CT"][3][inside] - exact[inside]).max() <= 0.5


def test_each_mr_volume_has_its_own_window(tmp_path):
    for index, scale in enumerate((1.0, 30.0)):
        source = pet()
        mr = replace(source, array=source.array * scale, modality="MR", unit="a.u.")
        write_patient(tmp_path / "cohort", f"P{index}", ct(scale=1 - 0.01 * index), mr)
    store = prepare(tmp_path / "cohort", tmp_path / "store", replace(CONFIG, source="MR", test=0.0))
    small, large = (patient.windows["MR"] for patient in store.patients)
    assert large.high == pytest.approx(30 * small.high)


def test_planes_without_source_or_without_patient_are_left_out(tmp_path):
    """The PET ends above the fourth plane of the CT; the CT's last plane is air."""
    target = ct(planes=8)
    target.array[:, :, 7] = -1000.0
    write_patient(tmp_path / "cohort", "P1", target, pet(planes=8, z_mm=17.0))
    store = prepare(tmp_path / "cohort", tmp_path / "store", replace(CONFIG, test=0.0))
    assert store.patients[0].z_mm == (15.0, 20.0, 25.0, 30.0)
    assert (store["PET"][:].max(axis=(1, 2)) > 0.5).all()


# Pairing


def test_resampling_pairs_every_plane_of_the_target(store):
    assert all(patient.z_mm == (0, 5, 10, 15, 20, 25) for patient in store.patients)
    centres = store["PET"][store.patients[0].start : store.patients[0].stop, 32, 32]
    np.testing.assert_allclose(centres, 1 + (np.arange(6) * 5 + 1) / 4, rtol=1e-5)  # linear between PET's planes


def test_position_pairs_planes_within_two_tenths_of_a_millimetre_unmixed(tmp_path):
    """Gaps of 5.00 and 5.06 mm: the planes are 0, 0.06, 0.12, 0.18, 0.24 ... mm apart."""
    write_patient(tmp_path / "cohort", "P1", ct(planes=8, gap_mm=5.06), pet(planes=8, gap_mm=5.0, z_mm=0.0))
    config = replace(CONFIG, pairing="position", test=0.0)
    store = prepare(tmp_path / "cohort", tmp_path / "store", config)
    np.testing.assert_allclose(store.patients[0].z_mm, [0, 5.06, 10.12, 15.18])
    np.testing.assert_array_equal(store["PET"][:, 32, 32], [1, 2, 3, 4])  # the value of one plane each


def test_position_pairs_the_nearest_planes_of_different_orders(tmp_path):
    """PET starts ten millimetres lower and has planes between: each CT plane finds its own."""
    write_patient(tmp_path / "cohort", "P1", ct(planes=4), pet(planes=14, gap_mm=2.5, z_mm=-10.1))
    store = prepare(tmp_path / "cohort", tmp_path / "store", replace(CONFIG, pairing="position", test=0.0))
    np.testing.assert_array_equal(store["PET"][:, 32, 32], [5, 7, 9, 11])


def test_no_planes_close_enough_is_told(tmp_path):
    write_patient(tmp_path / "cohort", "P1", ct(), pet(gap_mm=5.0, z_mm=2.0))
    told, config = [], replace(CONFIG, pairing="position", test=0.0)
    with pytest.raises(InputError, match="no two planes are close enough"):
        prepare(tmp_path / "cohort", tmp_path / "store", config, report=told.append)
    assert "nearest 2.00 mm" in told[0]


def tilted(volume: Volume, degrees: float, shift_mm: float = 0.0) -> Volume:
    """The volume turned about the x axis as if the scanner's couch had been, and moved along its own rows."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[1, 0, 0, 0], [0, cosine, -sine, 0], [0, sine, cosine, 0], [0, 0, 0, 1]])
    moved = volume.affine.copy()
    moved[1, 3] += shift_mm
    return replace(volume, affine=turn @ moved)


@pytest.mark.parametrize("degrees", [0.1, 2.0, 25.0])
def test_planes_tilted_against_each_other_are_no_pairs(degrees):
    with pytest.raises(InputError, match="tilted") as refused:
        pair_planes(tilted(pet(gap_mm=5.0, z_mm=0.0), degrees), ct(), 0.2)
    assert "--pairing resample" in str(refused.value)
    assert len(pair_planes(tilted(pet(gap_mm=5.0, z_mm=0.0), 1e-4), ct(), 0.2)[2]) == 6  # rounding is no tilt


def test_parallel_oblique_planes_pair_along_their_normal():
    """Tilted alike, and one moved in its own planes: the very pairs, and the very pixels, of the upright stacks."""
    source, target = pet(gap_mm=5.0, z_mm=0.0), ct()
    upright = pair_planes(source, target, 0.2)
    oblique = pair_planes(tilted(source, 20), tilted(target, 20, shift_mm=8.0), 0.2)
    np.testing.assert_array_equal(upright[0].array, oblique[0].array)
    np.testing.assert_array_equal(upright[1].array, oblique[1].array)
    to_source = [np.linalg.inv(pair[0].affine) @ pair[1].affine for pair in (upright, oblique)]
    to_source[0][1, 3] += 8.0 / source.spacing_mm[1]
    np.testing.assert_allclose(to_source[1], to_source[0], atol=1e-9)


@pytest.mark.parametrize("pairing", ["resample", "position"])
def test_the_gap_of_tilted_planes_is_along_their_normal(tmp_path, pairing):
    source, target = tilted(pet(gap_mm=5.0, z_mm=0.0), 20), tilted(ct(), 20)
    write_patient(tmp_path / "cohort", "P1", source, target)
    store = prepare(tmp_path / "cohort", tmp_path / "store", replace(CONFIG, pairing=pairing, test=0.0))
    (patient,) = store.patients
    assert patient.spacing_mm[2] == pytest.approx(5.0, abs=1e-4)
    np.testing.assert_allclose(np.diff(patient.z_mm), 5.0 * np.cos(np.radians(20)), atol=1e-3)


# Splits


@pytest.mark.parametrize("count", [2, 3, 7, 40])
@pytest.mark.parametrize(("test", "validation"), [(0.25, 0.0), (0.2, 0.2), (0.0, 0.1)])
def test_splits_are_of_patients_whole_and_repeatable(count, test, validation):
    patients = [f"P{index}" for index in range(count)]
    config = PrepareConfig(test=test, validation=validation)
    if count == 2 and test and validation:
        with pytest.raises(InputError, match="no patient is left to train on"):
            choose_splits(patients, config)
        return
    splits = choose_splits(patients, config)
    assert list(splits) == patients
    found = list(splits.values())
    for name, part in (("test", test), ("validation", validation)):
        assert found.count(name) == (max(1, round(part * count)) if part else 0)
    assert choose_splits(patients[::-1], config) == splits  # the order they were found in does not matter
    if count == 40:
        assert any(choose_splits(patients, replace(config, seed=seed)) != splits for seed in (1, 2))


def test_named_patients_are_where_they_were_named_whatever_is_drawn():
    patients = [f"P{index}" for index in range(4)]
    for seed in range(20):
        splits = choose_splits(patients, PrepareConfig(test=0.25, validation=("P2",), seed=seed))
        assert splits["P2"] == "validation"
        assert sorted(splits.values()) == ["test", "train", "train", "validation"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": ("P9",)}, "unknown test patients"),
        ({"test": ("P1",), "validation": ("P1",)}, "in two splits"),
        ({"test": 1.0}, "test part"),
        ({"test": ("P1", "P2", "P3", "P4")}, "no patient is left"),
    ],
)
def test_impossible_splits_are_told_before_any_work(cohort, tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr(prepare_module, "_prepare_patient", lambda *_: pytest.fail("worked"))
    with pytest.raises(InputError, match=message):
        prepare(cohort, tmp_path / "store", replace(CONFIG, **changes))
    assert list(tmp_path.iterdir()) == []


def test_the_store_keeps_patients_together_and_in_one_split(store):
    assert [patient.key for patient in store.patients] == ["P1", "P2", "P3", "P4"]
    assert sorted(patient.split for patient in store.patients) == ["test", "train", "train", "train"]
    assert [patient.stop - patient.start for patient in store.patients] == [6] * 4


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "XR"},
        {"source": "CT"},
        {"size": 100},
        {"size": 16},
        {"fov_mm": 5.0},
        {"pairing": "guess"},
        {"tolerance_mm": -1.0},
        {"windows": {"SPECT": (0, 1)}},
    ],
)
def test_impossible_settings_are_told(changes):
    with pytest.raises(InputError):
        PrepareConfig(**changes)


# Patients that cannot be used


def test_a_bad_patient_is_skipped_with_the_reason(tmp_path, cohort):
    root = write_cohort(tmp_path / "cohort")
    path = root / "P3" / "PET.nii"
    bad = bytearray(path.read_bytes())
    bad[-400:] = np.full(100, np.nan, np.float32).tobytes()
    path.write_bytes(bytes(bad))
    write_patient(root, "P5", ct())
    air = ct()
    write_patient(root, "P6", air.with_array(np.where(air.array == TABLE_HU, TABLE_HU, -1000).astype("f4")), pet())
    told = []
    store = prepare(root, tmp_path / "store", CONFIG, report=told.append)
    assert [patient.key for patient in store.patients] == ["P1", "P2", "P4"]
    assert dict(store.skipped) == {
        "P3": "voxels are not finite numbers",
        "P5": "no PET",
        "P6": "no slice shows enough of the patient",
    }
    assert [line.split("\n")[0] for line in told] == [
        "P5: skipped, no PET",
        "P1: prepared",
        "P2: prepared",
        "P3: skipped",
        "P4: prepared",
        "P6: skipped",
    ]
    assert beside(store.path) == ["cohort"]


def test_nothing_remains_where_no_patient_can_be_used(tmp_path):
    root = write_cohort(tmp_path / "cohort", patients=2)
    for path in root.glob("*/PET.nii"):
        path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError):
        prepare(root, tmp_path / "store", CONFIG)
    assert list(tmp_path.iterdir()) == [root]


def test_nothing_remains_where_too_few_patients_are_left(tmp_path):
    root = write_cohort(tmp_path / "cohort", patients=2)
    path = root / "P1" / "CT.nii"
    path.write_bytes(path.read_bytes()[:352] + np.zeros(100 * 75 * 6, np.int16).tobytes())
    with pytest.raises(InputError, match="no patient is left to train on"):
        prepare(root, tmp_path / "store", CONFIG)
    assert list(tmp_path.iterdir()) == [root]


@pytest.mark.parametrize("modality", ["CT", "PET"])
def test_a_scan_under_two_names_is_used_once(tmp_path, modality):
    """The same CT (or PET) beside another partner, packed and in another type: still the same patient."""
    root = write_cohort(tmp_path / "cohort", patients=3)
    copy = read_nifti(root / "P1" / f"{modality}.nii")
    write_nifti(copy, root / "P4" / f"{modality}.nii.gz")
    write_patient(root, "P4", pet(scale=0.8) if modality == "CT" else ct(scale=0.8))
    told = []
    store = prepare(root, tmp_path / "store", CONFIG, report=told.append)
    assert [patient.key for patient in store.patients] == ["P1", "P2", "P3"]
    assert dict(store.skipped) == {"P4": f"its {modality} is that of P1, voxel for voxel"}
    assert told[-1].startswith("P4: skipped\nits")
    with pytest.raises(InputError, match="unknown test patients"):
        prepare(root, tmp_path / "named", replace(CONFIG, test=("P4",)))


def test_what_the_index_tells_of_a_patient_is_told_on_the_way(tmp_path):
    root = write_cohort(tmp_path / "cohort", patients=2)
    write_nifti(pet(scale=0.9, z_mm=20.0), root / "P2" / "PET_late.nii")
    told = []
    store = prepare(root, tmp_path / "store", CONFIG, report=told.append)
    notes = store.patients[1].problems
    assert "2 PET images" in notes[0]
    assert told == ["P1: prepared", "\n  note: ".join(["P2: prepared", *notes])]


def test_one_patient_is_told_how_to_go_on(tmp_path):
    with pytest.raises(InputError, match="--test 0"):
        prepare(write_cohort(tmp_path / "cohort", patients=1), tmp_path / "store", CONFIG)


# Once, whole, and going on


def test_the_same_again_is_opened_at_once(cohort, store, monkeypatch):
    before = content(store.path)
    monkeypatch.setattr(prepare_module, "_prepare_patient", lambda *_: pytest.fail("worked again"))
    again = prepare(cohort, store.path, CONFIG)
    assert again.settings["fingerprint"] == store.settings["fingerprint"]
    assert content(store.path) == before


@pytest.mark.parametrize("changes", [{"size": 32}, {"seed": 1}, {"pairing": "position"}, {"windows": {"CT": (0, 1)}}])
def test_a_store_of_other_settings_is_not_overwritten(cohort, store, changes):
    before = content(store.path)
    with pytest.raises(InputError, match="already holds something else"):
        prepare(cohort, store.path, replace(CONFIG, **changes))
    assert content(store.path) == before


def test_a_store_of_another_cohort_is_not_overwritten(tmp_path, store):
    with pytest.raises(InputError, match="already holds something else"):
        prepare(write_cohort(tmp_path / "cohort", patients=3), store.path, CONFIG)


def test_a_dicom_file_changed_in_place_makes_another_cohort(tmp_path):
    """The folder's own time stays as it was."""
    frame, stored = "1.2.9", stored_values(planes=6, rows=48, columns=48)
    for modality in ("CT", "PT"):
        save(make_series(modality, stored, FrameOfReferenceUID=frame), tmp_path / "cohort" / modality)
    config = replace(CONFIG, test=0.0)
    store = prepare(tmp_path / "cohort", tmp_path / "store", config)
    assert prepare(tmp_path / "cohort", store.path, config).settings == store.settings
    path, before = tmp_path / "cohort" / "CT" / "0003.dcm", (tmp_path / "cohort" / "CT").stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with open(path, "r+b") as file:
        file.write(content)
    assert (tmp_path / "cohort" / "CT").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="already holds something else"):
        prepare(tmp_path / "cohort", store.path, config)


def test_a_folder_that_is_no_store_is_left_alone(tmp_path, cohort):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("all of it")
    with pytest.raises(InputError, match="already holds something else"):
        prepare(cohort, tmp_path / "thesis", CONFIG)
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "all of it"


def test_killed_after_one_patient_goes_on_with_the_next(cohort, store, tmp_path, monkeypatch):
    out = tmp_path / "store"
    assert run(prepare_worker.die_after_the_first_patient, cohort, out, CONFIG) == -signal.SIGKILL
    assert not out.exists()
    worked, work = [], prepare_module._prepare_patient
    monkeypatch.setattr(
        prepare_module, "_prepare_patient", lambda pair, *rest: (worked.append(pair.patient), work(pair, *rest))
    )
    prepare(cohort, out, CONFIG)
    assert worked == ["P2", "P3", "P4"]
    assert content(out) == content(store.path)  # byte for byte what an undisturbed run wrote
    assert beside(out) == []


@pytest.mark.parametrize("place", ["write_index", "_write_array"])
def test_an_exception_half_way_leaves_no_store(cohort, store, tmp_path, monkeypatch, place):
    out, calls, real = tmp_path / "store", [], getattr(prepare_module, place)

    def fail(*arguments, **named):
        calls.append(1)
        if place == "write_index" or len(calls) == 5:  # in the middle of the second patient
            raise ZeroDivisionError
        return real(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, place, fail)
        with pytest.raises(ZeroDivisionError):
            prepare(cohort, out, CONFIG)
    assert not out.exists()
    assert not list(tmp_path.rglob("*.part"))
    prepare(cohort, out, CONFIG)
    assert content(out) == content(store.path)


@pytest.mark.parametrize(("largest", "where"), [(20_000, "P1"), (100_000, "store")])
def test_a_full_disk_is_a_storage_error_and_leaves_no_store(cohort, store, tmp_path, largest, where):
    """It fills up while a patient is written, or while the patients are joined."""
    out, told = tmp_path / "store", tmp_path / "told"
    assert run(prepare_worker.fill_the_disk, cohort, out, CONFIG, largest, told) == 0
    assert told.read_text().startswith("StorageError: could not write: File too large")
    assert told.read_text().splitlines()[1].endswith(where)
    assert not out.exists()
    assert not list(tmp_path.rglob("*.part"))
    prepare(cohort, out, CONFIG)
    assert content(out) == content(store.path)


def test_a_place_that_cannot_be_written_is_a_storage_error(cohort, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        prepare(cohort, tmp_path / "file" / "store", CONFIG)


def test_the_index_is_plain_json_without_paths(cohort, store):
    index = json.loads((store.path / INDEX).read_text())
    assert str(cohort) not in json.dumps(index)
    assert index["settings"]["size"] == 64


def test_pixels_that_are_not_square_keep_the_body_s_shape(tmp_path):
    """A CT whose pixels are 2 x 4 mm: the body on the square grid is still the ellipse."""
    wide = ct(spacing_mm=2.0)
    target = Volume(wide.array[:, ::2], wide.affine @ np.diag([1, 2, 1, 1]), "CT", "HU")
    write_patient(tmp_path / "cohort", "P1", target, pet())
    store = prepare(tmp_path / "cohort", tmp_path / "store", replace(CONFIG, test=0.0))
    rows, columns = (np.flatnonzero(store[BODY][2].any(axis=axis)) for axis in (1, 0))
    assert len(columns) / len(rows) == pytest.approx(BODY_MM[0] / BODY_MM[1], rel=0.06)


@pytest.mark.parametrize(
    ("words", "expected"),
    [(("0.25",), 0.25), (("0",), 0.0), ((), ()), (("P001",), ("P001",)), (("P001", "P002"), ("P001", "P002")),
     (("12",), ("12",)), (("0.25", "P001"), ("0.25", "P001"))],
)  # fmt: skip
def test_a_split_is_a_part_or_the_patients_named(words, expected):
    assert _part_or_names(words) == expected


def test_the_command_takes_several_names_and_modalities(cohort, tmp_path, capsys):
    first, second = sorted(path.name for path in cohort.iterdir() if path.is_dir())[:2]
    options = ["--out", str(tmp_path / "store"), "--size", "64", "--test", first, second, "--json"]
    assert main(["prepare", str(cohort), *options]) == 0
    assert json.loads(capsys.readouterr().out)["splits"]["test"] == [first, second]
    assert main(["prepare", str(cohort), "--out", str(tmp_path / "other"), "--also", "MR", "LABELS"]) == 2
    assert "MR" in capsys.readouterr().err
