"""Lesson 03's exercises: the reference passes, the stub waits, each wrong idea gets its own hint; and its clinic."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from medsynth_lib.course.exercise import judge_attempt
from medsynth_lib.course.exercises import unet_ct_to_pet as exercises
from medsynth_lib.metrics.lesion import LesionReport, LesionScore, Spot
from medsynth_lib.networks.ronneberger import Clip, RonnebergerUNet
from tests.course.exercises.lesson_source import cells_with, defined_in

STEM = "03_unet_ct_to_pet"
EXERCISES = {
    name: getattr(exercises, f"check_{name}") for name in ("best_guesses", "join", "cascade_loss", "lesion_recall")
}


def middle(skip, up):
    top, left = ((skip.shape[axis] - up.shape[axis]) // 2 for axis in (-2, -1))
    return skip[..., top : top + up.shape[-2], left : left + up.shape[-1]]


def weighted(values, chances):
    return sum(value * chance for value, chance in zip(values, chances, strict=True))


def unsorted_median(values, chances):
    return values[int(np.searchsorted(np.cumsum(chances), 0.5))]


def squares(images, target):
    return [((image - target) ** 2).mean() for image in images]


def recall(real_max, fake_max, real_contrast, fake_contrast, *, visible=True, hot=True, contrast=True, of=None):
    seen = real_max >= 2.5 if visible else np.ones(len(real_max), bool)
    found = seen & (fake_max >= 2.5 if hot else True)
    if contrast:
        found = found & (fake_contrast >= 0.41 * real_contrast)
    return found.sum() / (real_max >= 2.5).sum() if of is None else found.sum() / of


def fakes_found(real_max, fake_max, real_contrast, fake_contrast):
    found = (real_max >= 2.5) & (fake_max >= 2.5) & (fake_contrast >= 0.41 * real_contrast)
    return map(bool, found)


def median_of(values, chances):
    return exercises.best_guesses(values, chances)[1]


MUTANTS = [
    ("best_guesses", lambda v, p: exercises.best_guesses(v, p)[::-1], "other way round"),
    ("best_guesses", lambda v, p: (weighted(v, p), v[int(np.argmax(p))]), "most likely"),
    ("best_guesses", lambda v, p: (np.mean(v), median_of(v, p)), "plain mean"),
    ("best_guesses", lambda v, p: (weighted(v, p), np.median(v)), "plain median"),
    ("best_guesses", lambda v, p: (weighted(v, p), unsorted_median(v, p)), "Sort the values"),
    ("best_guesses", lambda v, p: (weighted(v, p) + 1, median_of(v, p)), "Least squared error"),
    ("join", lambda skip, up: middle(skip, up) + up, "Added, not joined"),
    ("join", lambda skip, up: torch.cat([skip[..., : up.shape[-2], : up.shape[-1]], up], 1), "corner"),
    ("join", lambda skip, up: torch.cat([up, middle(skip, up)], 1), "wrong order"),
    ("join", lambda skip, up: torch.cat([F.interpolate(skip, size=up.shape[-2:]), up], 1), "throws its detail away"),
    ("join", lambda skip, up: torch.cat([middle(skip, up), up], 0), "along the batch"),
    ("join", lambda skip, up: torch.cat([skip, up], 1), "crop its middle"),
    ("join", lambda skip, up: skip + up, "crop its middle"),
    ("cascade_loss", lambda images, y, w: w[-1] * squares(images, y)[-1], "Only the last stage"),
    ("cascade_loss", lambda images, y, w: sum(squares(images, y)), "weights are not used"),
    ("cascade_loss", lambda images, y, w: exercises.cascade_loss(images, y, w) / len(w), "not its mean"),
    (
        "cascade_loss",
        lambda images, y, w: sum(a * (x - y).abs().mean() for a, x in zip(w, images, strict=True)),
        "absolute error",
    ),
    (
        "cascade_loss",
        lambda images, y, w: sum(a * b.sqrt() for a, b in zip(w, squares(images, y), strict=True)),
        "the root belongs",
    ),
    (
        "cascade_loss",
        lambda images, y, w: sum(a * ((x - y) ** 2).sum() for a, x in zip(w, images, strict=True)),
        "not the sum",
    ),
    (
        "cascade_loss",
        lambda images, y, w: exercises.cascade_loss([*(x.detach() for x in images[:-1]), images[-1]], y, w),
        "stage 1, 2 gets no gradient",
    ),
    ("cascade_loss", lambda images, y, w: exercises.cascade_loss(images, y, w).detach(), "no stage can learn"),
    (
        "cascade_loss",
        lambda images, y, w: sum(a * (x - y) ** 2 for a, x in zip(w, images, strict=True)),
        "one number",
    ),
    ("lesion_recall", lambda *x: recall(*x, visible=False, of=len(x[0])), "neither found nor lost"),
    ("lesion_recall", lambda *x: recall(*x, visible=False), "neither found nor lost"),
    ("lesion_recall", lambda *x: recall(*x, contrast=False), "Warm is not found"),
    ("lesion_recall", lambda *x: recall(*x, hot=False), "Contrast is not enough"),
    ("lesion_recall", lambda a, b, c, d: recall(a, b, a, b), "not of SUVmax"),
    ("lesion_recall", lambda *x: 1 - recall(*x), "erased part"),
    ("lesion_recall", lambda *x: recall(*x, of=1), "A count"),
    ("lesion_recall", lambda *x: recall(*x) if (x[0] >= 2.5).any() else 1.0, "math.nan"),
    ("lesion_recall", lambda *x: sum(fakes_found(*x)) / sum(map(bool, x[0] >= 2.5)), "math.nan"),
    ("lesion_recall", lambda *x: 0.9, "Four of twelve"),
]


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(("name", "mutant", "hint"), MUTANTS, ids=[f"{name}-{hint}" for name, _, hint in MUTANTS])
def test_each_wrong_answer_gets_its_hint(name, mutant, hint):
    judgement = judge_attempt(mutant, EXERCISES[name])
    assert judgement.status == "misconception"
    assert hint in judgement.hint


def test_no_other_guess_has_less_error():
    generator = np.random.default_rng(0)
    values, chances = generator.uniform(0, 9, 12), generator.dirichlet(np.ones(12))
    mean, median = exercises.best_guesses(values, chances)
    for guess in np.linspace(0, 9, 1801):
        assert weighted((values - mean) ** 2, chances) <= weighted((values - guess) ** 2, chances) + 1e-12
        assert weighted(abs(values - median), chances) <= weighted(abs(values - guess), chances) + 1e-12


def test_the_recall_is_that_of_the_library():
    generator = np.random.default_rng(1)
    real_max, fake_max = generator.uniform(1, 9, (2, 40))
    real_contrast, fake_contrast = real_max - 1, fake_max - generator.uniform(0.5, 2.5, 40)
    columns = zip(real_max, fake_max, real_contrast, fake_contrast, strict=True)
    scores = tuple(LesionScore(Spot(a, c, (0,), 1.0), Spot(b, d, (0,), 1.0)) for a, b, c, d in columns)
    found = exercises.lesion_recall(real_max, fake_max, real_contrast, fake_contrast)
    assert found == pytest.approx(LesionReport(scores, ()).record()["lesion_recall"])
    assert math.isnan(exercises.lesion_recall(*(np.array([1.0]) for _ in range(4))))


def clinic(output, steps=40):
    """A U-Net with this last layer after 001's first steps on a disc in air: its loss, and the gradient of its head."""
    torch.manual_seed(0)
    network = RonnebergerUNet(base_channels=16, depth=3)
    network.output = output
    source, target = torch.full((2, 1, 32, 32), -1.0), torch.full((2, 1, 32, 32), -1.0)
    source[..., 8:24, 8:24], target[..., 8:24, 8:24] = 0.05, -0.6
    source = source + 0.05 * torch.randn_like(source)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((network(source) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
    return float(loss.detach()), float(network.head.weight.grad.abs().max())


def test_a_network_that_ends_with_a_clip_dies_and_one_whose_gradient_passes_learns():
    (source,) = cells_with(STEM, r"^(class HardClip.*?)\Z")
    broken = clinic(defined_in(f"from torch import nn\n{source}", "HardClip")())
    assert broken == (pytest.approx(0.4**2 / 4), 0.0)  # SUV 0 everywhere, for ever
    loss, gradient = clinic(Clip())
    assert gradient > 0
    assert loss < 0.5 * broken[0]
