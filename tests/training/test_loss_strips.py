"""Lesson 02's strips: the edge ratio, the file that keeps them, and the file that the lesson shows."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from medsynth_lib.errors import InputError
from medsynth_lib.phantom.cohort import default_cohort
from medsynth_lib.training.experiments.loss_strips import TERMS, LossStrips, edge_ratio, make_strips

FILE = Path(__file__).parents[2] / "notebooks" / "expected" / "02_pix2pix_pet_to_ct" / "loss_terms.npz"


def test_the_edge_ratio_is_1_for_the_same_image_below_for_a_blurred_and_above_for_a_grainy_one():
    generator = torch.Generator().manual_seed(0)
    real, body = torch.rand(2, 1, 32, 32, generator=generator), torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    body[..., 8:24, 8:24] = True
    assert edge_ratio(real, real, body) == pytest.approx(1)
    assert edge_ratio(0.5 * real + 3, real, body) == pytest.approx(0.5)
    assert edge_ratio(F.avg_pool2d(real, 3, 1, 1), real, body) < 0.6
    assert edge_ratio(real + torch.rand(real.shape, generator=generator), real, body) > 1.1
    outside = real.clone()
    outside[..., :6, :] += 5 * torch.rand(6, 32, generator=generator)
    assert edge_ratio(outside, real, body) == pytest.approx(1)


def test_a_saved_file_is_read_back_to_the_last_digit_it_keeps(tmp_path):
    generator = np.random.default_rng(0)
    source, target = generator.uniform(0, 30, (3, 8, 8)), generator.uniform(-1000, 1000, (3, 8, 8))
    strips = LossStrips(source, target, {"a": target + 7, "b": -target}, {"a": {"mae": 7.0}}, {"steps": 1})
    strips.save(tmp_path / "strips.npz")
    back = LossStrips.load(tmp_path / "strips.npz")
    assert np.abs(back.source - source).max() <= 0.0051
    assert np.abs(back.target - target).max() <= 2.001
    assert list(back.fakes) == ["a", "b"]
    assert np.abs(back.fakes["b"] + target).max() <= 2.001
    assert (back.scores, back.about) == ({"a": {"mae": 7.0}}, {"steps": 1})


def test_another_file_is_refused(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK no zip")
    np.savez(tmp_path / "other.npz", words=np.array("{}"))
    for name in ("absent.npz", "broken.npz", "other.npz"):
        with pytest.raises(InputError, match="no strips can be read"):
            LossStrips.load(tmp_path / name)


def test_each_loss_trains_its_own_network_on_the_same_slices(tmp_path):
    strips = make_strips(tmp_path, steps=2, size=32, cohort=default_cohort(profile="smoke"))
    assert list(strips.fakes) == list(strips.scores) == list(TERMS)
    assert all(fake.shape == strips.target.shape == (4, 32, 32) for fake in strips.fakes.values())
    first, second, third = strips.fakes.values()
    assert not np.allclose(first, second)
    assert not np.allclose(second, third)
    assert strips.target.min() >= -1024


def test_the_lessons_file_is_small_and_of_these_losses():
    assert FILE.stat().st_size < 1_000_000
    strips = LossStrips.load(FILE)
    assert list(strips.fakes) == list(TERMS)
    for loss, fake in strips.fakes.items():
        shown = np.abs(fake - strips.target.clip(-1000, 1000)).mean()
        assert shown == pytest.approx(strips.scores[loss]["mae"], rel=0.5)  # a few slices of one patient; all of all
