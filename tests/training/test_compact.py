"""Weights rounded to 8 bits: how far they move, what stays exact, and that a model of them still translates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from medsynth_lib.cli import main
from medsynth_lib.errors import CheckpointError
from medsynth_lib.training.checkpoint import load_model, write_model
from medsynth_lib.training.compact import SCALE, compact, expand
from medsynth_lib.training.run import load_system, train_run
from tests.data.cohort_factory import write_store


def test_no_weight_moves_by_more_than_half_a_step_of_its_row():
    torch.manual_seed(0)
    weight = torch.randn(16, 8, 4, 4) * torch.logspace(-3, 2, 16)[:, None, None, None]
    back = expand(compact({"conv.weight": weight}))["conv.weight"]
    step = np.abs(weight.numpy()).max(axis=(1, 2, 3), keepdims=True) / 127
    assert back.dtype == torch.float32
    assert (np.abs(back.numpy() - weight.numpy()) <= step / 2 * (1 + 1e-5)).all()
    assert (back[0] != weight[0]).any()  # rounded at all


def test_vectors_small_tensors_whole_numbers_and_rows_of_zeros_are_exact():
    tensors = {
        "bias": torch.randn(5000),
        "small.weight": torch.randn(4, 8),
        "count": torch.arange(6000).view(2, 3000),
        "zeros": torch.zeros(64, 64),
    }
    back = expand(compact(tensors))
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[key], tensors[key]) for key in tensors)


def test_what_was_never_compact_passes_unchanged():
    tensors = {"w": torch.randn(64, 64)}
    assert expand(tensors)["w"] is tensors["w"]


def test_a_compact_export_is_a_quarter_of_the_size_and_gives_nearly_the_same_images(tmp_path):
    write_store(tmp_path / "store", {"P1": ("train", 4), "P2": ("test", 3)}, size=64)
    train_run("pix2pix", tmp_path / "store", tmp_path / "run", "smoke", steps=4, amp="off")
    out = tmp_path / "model"
    assert main(["export", str(tmp_path / "run"), "--out", str(out), "--compact"]) == 0
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (tmp_path / "run", out)]
    assert sizes[1] < 0.3 * sizes[0]
    source = torch.rand(2, 1, 64, 64) * 2 - 1
    full, rounded = (load_system(folder)[0].translate(source) for folder in (tmp_path / "run", out))
    assert 0 < (full - rounded).abs().mean() < 0.05 * full.std()
    assert "rounded to 8 bits" in (out / "MODEL_CARD.md").read_text()
    assert load_model(out)[1]["weight_bits"] == 8


def test_a_scale_without_its_weights_or_of_another_length_is_refused(tmp_path):
    stored = compact({"w": torch.randn(64, 64)})
    for name, tensors in (
        ("alone", {"w" + SCALE: stored["w" + SCALE]}),
        ("length", {"w": stored["w"], "w" + SCALE: torch.ones(3)}),
    ):
        write_model(tmp_path / name, tensors, {"system": "pix2pix"})
        with pytest.raises(CheckpointError, match="cannot be read"):
            load_model(tmp_path / name)
    save_file(load_file(tmp_path / "alone"), tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_model(tmp_path / "foreign")
