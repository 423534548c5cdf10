"""Evaluation in physical units beside baselines; a run's folder goes in, a table comes out."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from medsynth_lib.cli import main
from medsynth_lib.data.datasets import PairedSlices
from medsynth_lib.data.nifti import read_nifti
from medsynth_lib.data.prepare import PrepareConfig, prepare
from medsynth_lib.errors import CheckpointError, InputError
from medsynth_lib.systems import SYSTEMS
from medsynth_lib.training.evaluate import evaluate
from medsynth_lib.training.log import read_lines
from medsynth_lib.training.run import about_data, evaluate_run, load_system, train_run
from medsynth_lib.training.translate import translate_volume

SIZE = 64


def write_patient(folder, seed):
    """A cylinder of soft tissue with a bone: hotter where denser, PET on a coarser grid."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(SIZE) - 31.5, np.arange(SIZE) - 31.5, indexing="ij")
    body, bone = np.hypot(x, y) < 20 + rng.integers(0, 4), np.hypot(x - 6, y) < 5
    plane = np.where(bone, 700.0, np.where(body, 40.0, -1000.0))
    ct = np.repeat(plane[:, :, None], 4, axis=2) + rng.normal(0, 5, (SIZE, SIZE, 4))
    pet = np.repeat(np.where(bone, 3.0 + seed / 10, np.where(body, 1.0, 0.0))[::2, ::2, None], 4, axis=2)
    folder.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(ct.astype(np.float32), np.diag([2.0, 2, 5, 1])), folder / "CT.nii.gz")
    affine = np.diag([4.0, 4, 5, 1])
    affine[:2, 3] = 1.0
    nibabel.save(nibabel.Nifti1Image(pet.astype(np.float32), affine), folder / "PET.nii.gz")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = tmp_path_factory.mktemp("cohort")
    for number in range(3):
        write_patient(root / f"subject-{number}", number)
    return root


@pytest.fixture(scope="module")
def store(cohort, tmp_path_factory):
    return prepare(cohort, tmp_path_factory.mktemp("store") / "store", PrepareConfig(size=SIZE, test=("subject-2",)))


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train_run("pix2pix", store.path, folder, "smoke", steps=4, amp="off")
    return folder


def test_a_perfect_method_is_perfect_and_ahead_of_every_baseline(store):
    truth = {}

    def perfect(source):
        return truth[source.sum().item()]

    for batch in PairedSlices(store, "test").in_order():
        truth[batch.source.sum().item()] = batch.target
    found = evaluate({"perfect": perfect}, store)
    assert set(found.summaries) == {"perfect", "identity", "mean image", "look-up table"}
    perfect = found.summaries["perfect"]
    assert (perfect["mae"].mean, perfect["ssim"].mean) == (0, 1)
    assert perfect["psnr"].excluded == 4  # infinite, so counted and left out
    assert found.summaries["look-up table"]["mae"].mean > 0
    assert found.about["patients"] == 1
    assert found.about["data_range"] == "2000 HU"


def stored_hu(store, split):
    """The CT of a split's patients as stored, in HU, cut to the window."""
    patients = store.split(split)
    return np.concatenate([store["CT"][one.start : one.stop] for one in patients]).astype(float).clip(-1000, 1000)


def test_psnr_and_ssim_are_those_of_scikit_image_over_the_windows_width(store):
    real = stored_hu(store, "test")
    fake = real + 60 * np.sin(np.arange(SIZE) / 3)
    fake = fake.clip(-1000, 1000)
    shown = iter(torch.from_numpy((fake / 1000).astype(np.float32))[:, None].split(1))
    batches = [len(batch) for batch in PairedSlices(store, "test").in_order()]
    planned = iter(torch.cat(list(shown)).split(batches))
    found = evaluate({"striped": lambda _: next(planned)}, store, metrics=("psnr", "ssim")).summaries["striped"]
    options = {"data_range": 2000, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pairs = list(zip(real, fake, strict=True))
    psnr = np.mean([peak_signal_noise_ratio(*pair, data_range=2000) for pair in pairs])
    ssim = np.mean([structural_similarity(*pair, **options) for pair in pairs])
    assert found["psnr"].mean == pytest.approx(psnr, rel=1e-3)
    assert found["ssim"].mean == pytest.approx(ssim, abs=0.01)  # they differ in how they treat the border
    assert psnr < 60


def test_baselines_know_the_training_patients_only(store):
    expected = np.abs(stored_hu(store, "train").mean(axis=0) - stored_hu(store, "test")).mean()
    found = evaluate({}, store, metrics=("mae",)).summaries
    assert found["mean image"]["mae"].mean == pytest.approx(expected, rel=1e-4)


def test_margins_are_over_baselines_not_over_other_systems(store):
    methods = {"air": lambda source: torch.full_like(source, -1), "bone": lambda source: torch.full_like(source, 1)}
    found = evaluate(methods, store, metrics=("mae",))
    best = min(found.summaries[name]["mae"].mean for name in ("identity", "mean image", "look-up table"))
    for name in methods:
        assert found.margins(name) == {"mae": pytest.approx(best - found.summaries[name]["mae"].mean)}
    with pytest.raises(InputError, match="no baseline"):
        evaluate(methods, store, metrics=("mae",), with_baselines=False).margins("air")


def test_a_model_says_that_it_keeps_no_discriminator(run):
    system, _ = load_system(run)
    with pytest.raises(CheckpointError, match="networks that make images only"):
        system.discriminator(torch.zeros(1, 2, SIZE, SIZE))


def test_a_model_remembers_the_windows_of_its_training_patients_alone(store):
    train = {one.key for one in store.split("train")}
    other = next(one for one in store.patients if one.key not in train)
    changed = replace(other, spacing_mm=(9.0, 9.0, 9.0))
    patients = tuple(changed if one is other else one for one in store.patients)
    assert about_data(replace(store, patients=patients))["pixel_mm"] == about_data(store)["pixel_mm"]


def test_error_is_in_hounsfield_units(store):
    targets = iter([batch.target + 0.01 for batch in PairedSlices(store, "test").in_order()])
    found = evaluate({"off by ten": lambda _: next(targets)}, store)
    assert found.summaries["off by ten"]["mae_body"].mean == pytest.approx(10.0, rel=1e-3)


def test_identity_is_the_source_through_the_targets_window(store):
    patient = store.split("test")[0]
    pet, ct = (store[name][patient.start : patient.stop].astype(float) for name in ("PET", "CT"))
    expected = np.abs(np.clip(pet, 0, 5) * 400 - 1000 - np.clip(ct, -1000, 1000)).mean()
    assert evaluate({}, store).summaries["identity"]["mae"].mean == pytest.approx(expected, rel=1e-5)


def test_a_run_keeps_what_evaluation_needs(run, store):
    assert {"model.safetensors", "losses.jsonl", "tensorboard", "checkpoint-00000004"} <= {
        path.name for path in run.iterdir()
    }
    assert json.loads((run / "losses.jsonl").read_text().splitlines()[-1])["step"] == 4
    assert "pix2pix" in evaluate_run(run, store.path).summaries


def test_no_patient_is_named_in_a_model_or_checkpoint(run):
    for path in run.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"subject-" not in data, path


def test_other_modalities_and_other_systems_are_refused(run, store, cohort, tmp_path, monkeypatch):
    other = prepare(cohort, tmp_path / "other", PrepareConfig(source="CT", target="PET", size=SIZE))
    with pytest.raises(CheckpointError, match="another source"):
        evaluate_run(run, other.path)
    with pytest.raises(CheckpointError, match="no trained model"):
        load_system(tmp_path)
    monkeypatch.delitem(SYSTEMS, "pix2pix")
    with pytest.raises(CheckpointError, match="does not have"):
        load_system(run)


def test_translation_lines_up_with_its_source_and_has_its_unit(run, cohort):
    source = read_nifti(cohort / "subject-2" / "PET.nii.gz")
    fake = translate_volume(run, source)
    assert (fake.modality, fake.unit) == ("CT", "HU")
    assert -1000 <= fake.array.min() <= fake.array.max() <= 1000
    np.testing.assert_allclose(fake.z_mm(), source.z_mm(), atol=1e-4)
    centre = fake.affine @ [(SIZE - 1) / 2, (SIZE - 1) / 2, 0, 1]
    hot = np.argwhere(source.array > 0.5)[:, :2]
    middle = (hot.min(axis=0) + hot.max(axis=0)) / 2
    np.testing.assert_allclose(centre[:2], (source.affine @ [*middle, 0, 1])[:2], atol=1e-4)


def test_the_wrong_modality_is_refused(run, cohort):
    with pytest.raises(InputError, match="another modality"):
        translate_volume(run, read_nifti(cohort / "subject-2" / "CT.nii.gz"))


def test_the_commands_from_cohort_to_synthetic_volume(cohort, tmp_path, capsys):
    store, run, out = tmp_path / "store", tmp_path / "run", tmp_path / "fake.nii.gz"
    assert main(["prepare", str(cohort), "--out", str(store), "--size", "64", "--test", "subject-2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"]["test"] == ["subject-2"]
    training = ["train", "pix2pix", "--data", str(store), "--out", str(run), "--profile", "smoke"]
    training += ["--metrics-every", "2", "--steps", "2"]
    assert main(training) == 0
    (look,) = read_lines(run / "metrics.jsonl")
    assert (look["step"], look["unit"]) == (2, "HU")
    assert {"psnr", "ssim", "ms_ssim_3_scales", "vif", "mae", "mse"} <= set(look["train"]) & set(look["test"])
    assert main(["evaluate", str(run), "--data", str(store), "--json"]) == 0
    assert "summaries" in json.loads(capsys.readouterr().out)
    assert main(["translate", str(run), "--input", str(cohort / "subject-2" / "PET.nii.gz"), "--out", str(out)]) == 0
    assert "not for diagnosis" in capsys.readouterr().out
    assert nibabel.load(out).shape == (64, 64, 4)
    assert main([*training[:-1], "3"]) == 2
    assert "steps=2" in capsys.readouterr().err
