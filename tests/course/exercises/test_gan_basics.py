"""Lesson 01's exercises: the reference passes, the stub waits, each wrong idea gets its own hint; its clinic breaks."""

from dataclasses import replace

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from medsynth_lib.course.exercise import judge_attempt
from medsynth_lib.course.exercises import gan_basics as exercises
from medsynth_lib.metrics.modes import mode_coverage
from medsynth_lib.systems.gan import ToyGAN
from medsynth_lib.training.profiles import profile
from tests.course.exercises.lesson_source import NOTEBOOKS

STEM = "01_gan_basics"
EXERCISES = {
    "best_discriminator": exercises.check_best_discriminator,
    "discriminator_loss": exercises.check_discriminator_loss,
    "generator_loss": exercises.check_generator_loss,
    "count_modes": exercises.check_count_modes,
}


def bce(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def nearest_only(samples, centres, std):
    return len(torch.cdist(samples, centres).argmin(dim=1).unique()), 1.0


def square(samples, centres, std):
    near = ((samples[:, None] - centres).abs() <= 3 * std).all(dim=2)
    return int(near.any(dim=0).sum()), float(near.any(dim=1).float().mean())


def within(distances, limit):
    return int((distances <= limit).any(dim=0).sum()), float((distances <= limit).any(dim=1).float().mean())


def samples_not_modes(samples, centres, std):
    near = torch.cdist(samples, centres) <= 3 * std
    return int(near.any(dim=1).sum()), float(near.any(dim=1).sum())


def good_not_shared(samples, centres, std):
    near = torch.cdist(samples, centres) <= 3 * std
    return int(near.any(dim=0).sum()), float(near.any(dim=1).sum())


def all_modes(samples, centres, std):
    return len(centres), exercises.count_modes(samples, centres, std)[1]


MUTANTS = [
    ("best_discriminator", lambda p, q: q / (p + q), "p goes on top"),
    ("best_discriminator", lambda p, q: p / q, "not a probability"),
    ("best_discriminator", lambda p, q: np.log(p / q), "logit"),
    ("best_discriminator", lambda p, q: p, "no probability of being real"),
    ("best_discriminator", lambda p, q: 2 * p / (p + q), "mixture"),
    ("best_discriminator", lambda p, q: p / (p + q) / (p / (p + q)).sum(), "Do not normalise"),
    ("best_discriminator", lambda p, q: (p > q) * 1.0, "should be"),
    ("discriminator_loss", lambda d, x, f: 0.5 * (bce(d(x), 1.0) + bce(d(f), 0.0)), "Detach"),
    ("discriminator_loss", lambda d, x, f: 0.5 * (bce(d(x), 0.0) + bce(d(f.detach()), 1.0)), "swapped"),
    ("discriminator_loss", lambda d, x, f: bce(d(x), 1.0) + bce(d(f.detach()), 0.0), "half the sum"),
    (
        "discriminator_loss",
        lambda d, x, f: 0.5 * (bce(d(x).sigmoid(), 1.0) + bce(d(f.detach()).sigmoid(), 0.0)),
        "sigmoid too many",
    ),
    ("discriminator_loss", lambda d, x, f: bce(d(x), 1.0), "Only real"),
    ("discriminator_loss", lambda d, x, f: -0.5 * (bce(d(x), 1.0) + bce(d(f.detach()), 0.0)), "sign"),
    ("discriminator_loss", lambda d, x, f: exercises.discriminator_loss(d, x, f).detach(), "require grad"),
    ("discriminator_loss", lambda d, x, f: d(x), "one number"),
    ("generator_loss", lambda d, f: -F.softplus(d(f)).mean(), "saturating"),
    ("generator_loss", lambda d, f: bce(d(f), 0.0), "swapped"),
    ("generator_loss", lambda d, f: bce(d(f).sigmoid(), 1.0), "sigmoid too many"),
    ("generator_loss", lambda d, f: -bce(d(f), 1.0), "sign"),
    ("generator_loss", lambda d, f: 0.5 * bce(d(f), 1.0), "Half too small"),
    ("generator_loss", lambda d, f: bce(d(f.detach()), 1.0), "must not be detached"),
    ("generator_loss", lambda d, f: d(f), "one number"),
    ("count_modes", nearest_only, "however far"),
    ("count_modes", square, "makes a square"),
    ("count_modes", lambda x, c, s: within(torch.cdist(x, c), s), "not within 1"),
    ("count_modes", lambda x, c, s: within(torch.cdist(x, c) ** 2, 3 * s), "square root"),
    ("count_modes", all_modes, "that samples reach"),
    ("count_modes", samples_not_modes, "samples, not modes"),
    ("count_modes", good_not_shared, "of all samples"),
]


@pytest.mark.parametrize(("name", "mutant", "hint"), MUTANTS, ids=[f"{name}-{hint}" for name, _, hint in MUTANTS])
def test_each_wrong_answer_gets_its_hint(name, mutant, hint):
    judgement = judge_attempt(mutant, EXERCISES[name])
    assert judgement.status in ("misconception", "broken")
    assert hint in judgement.hint


def test_the_reference_counts_as_the_library_does():
    generator = torch.Generator().manual_seed(0)
    centres, samples = torch.rand(6, 2, generator=generator), torch.rand(400, 2, generator=generator)
    coverage = mode_coverage(samples, centres, 0.03)
    assert exercises.count_modes(samples, centres, 0.03) == (coverage.covered, pytest.approx(coverage.high_quality))


# The failure clinic


def code_of(id: str) -> str:
    (cell,) = [cell for cell in nbformat.read(NOTEBOOKS / f"{STEM}.ipynb", 4).cells if cell.id == id]
    return cell.source


def test_the_clinics_swapped_label_makes_both_losses_fall_and_strands_the_points_and_the_fix_mends_it():
    recipe = profile("toy_gan", "lesson")
    recipe = replace(recipe, training=replace(recipe.training, batch_size=128))
    space = {"np": np, "torch": torch, "F": F, "ToyGAN": ToyGAN, "SEED": 0, "recipe": recipe, "ring": recipe.points}
    space |= {name: getattr(exercises, name) for name in ("discriminator_loss", "generator_loss")}
    for id in ("step-inline", "clinic-break"):
        exec(code_of(id), space)  # noqa: S102, our own notebook
    test = code_of("clinic-diagnose-run").split("\n\n\njudge")[0]
    exec(test, space)  # noqa: S102
    found = {}
    for name in ("colleagues_loss", "generator_loss"):
        gan, log = space["train_by_hand"](space[name], 400)
        with torch.no_grad():
            samples = gan.generate(1000, seed=0).flatten(1)
        coverage = mode_coverage(samples, recipe.points.centres, recipe.points.std)
        trusted = space["wants_to_be_believed"](space[name], gan.discriminator, samples[:, :, None, None])
        found[name] = coverage.covered, max(log[-1]), trusted
    assert found["colleagues_loss"] == (0, pytest.approx(0, abs=0.01), False)
    covered, worst_loss, trusted = found["generator_loss"]
    assert covered >= 6
    assert worst_loss > 0.5
    assert trusted
