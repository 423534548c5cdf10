"""A model that was exported is the model: same bits out of it, and a card that says what it is."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from medsynth_lib.cli import main
from medsynth_lib.data.nifti import write_nifti
from medsynth_lib.training.checkpoint import load_model, model_digest
from medsynth_lib.training.run import load_system, train_run
from tests.data.cohort_factory import pet, write_store


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    write_store(root / "store", {"P1": ("train", 4), "P2": ("test", 3)}, size=64)
    train_run("pix2pix", root / "store", root / "run", "smoke", steps=2, amp="off", metrics_every=2)
    return root / "run"


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "model"
    assert main(["export", str(run), "--out", str(out), "--data", str(run.parent / "store")]) == 0
    return out


def test_it_is_the_same_model(run, exported, tmp_path):
    """Bit for bit: weights, what they give, and the file `medsynth translate` writes."""
    source = torch.rand(2, 1, 64, 64) * 2 - 1
    outputs = [load_system(folder)[0].translate(source) for folder in (run, exported)]
    assert torch.equal(*outputs)
    write_nifti(pet(), tmp_path / "PET.nii.gz")
    for folder, name in ((run, "a.nii.gz"), (exported, "b.nii.gz")):
        assert (
            main(["translate", str(folder), "--input", str(tmp_path / "PET.nii.gz"), "--out", str(tmp_path / name)])
            == 0
        )
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_the_folder_holds_three_files_that_agree(run, exported):
    assert sorted(path.name for path in exported.iterdir()) == ["MODEL_CARD.md", "config.json", "model.safetensors"]
    config = json.loads((exported / "config.json").read_text())
    assert config["sha256"] == model_digest(run) == model_digest(exported)
    assert {key: config[key] for key in load_model(run)[1]} == load_model(run)[1]


def test_the_card_says_what_it_is_and_is_not(exported):
    card = (exported / "MODEL_CARD.md").read_text()
    for words in ("pix2pix, PET→CT", "not for diagnosis", "phantom", "CC0", "HU", "Limits", "lesions may be missing",
                  "identity", "mean image", "look-up table", "medsynth translate", model_digest(exported)):  # fmt: skip
        assert words in card, words
    assert not any(patient in card for patient in ("P1", "P2"))


def test_without_a_store_the_card_shows_the_last_look_and_real_data_its_missing_licence(run, tmp_path):
    from medsynth_lib.training.export import model_card

    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 0
    assert "On some test slices at step 2, without baselines" in (tmp_path / "model" / "MODEL_CARD.md").read_text()
    about = {**load_model(run)[1], "synthetic_data": False}
    assert "Licence of the data: not stated" in model_card(about, "0", "", None)
    assert "Licence of the data: CC BY 3.0" in model_card(about, "0", "", "CC BY 3.0")
    assert "real scans of patients" in model_card(about, "0", "", None)


def test_nothing_is_overwritten_and_nothing_exported_from_nothing(run, exported, tmp_path, capsys):
    assert main(["export", str(run), "--out", str(exported)]) == 2
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "model")]) == 2
    assert not (tmp_path / "model").exists()
    assert "Traceback" not in capsys.readouterr().err


def test_pushing_needs_the_extra(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["export", str(run), "--out", str(tmp_path / "model"), "--push", "me/model"]) == 2
    assert "medsynth[hub]" in capsys.readouterr().err


def test_pushing_uploads_the_folder_as_a_private_repository(run, tmp_path, monkeypatch):
    calls = []

    class Api:
        def create_repo(self, name, private, exist_ok):
            calls.append((name, private, exist_ok))
            return f"https://example.org/{name}"

        def upload_folder(self, repo_id, folder_path):
            calls.append((repo_id, folder_path))

    module = type(sys)("huggingface_hub")
    module.HfApi = Api
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    out = tmp_path / "model"
    assert main(["export", str(run), "--out", str(out), "--push", "me/model"]) == 0
    assert calls == [("me/model", True, True), ("me/model", str(out))]
