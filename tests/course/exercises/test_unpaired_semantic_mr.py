"""Lesson 06's exercises: reference, stub, each wrong idea with its own hint; its clinic breaks and its fix mends."""

import math

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from medsynth_lib.course.exercise import judge_attempt
from medsynth_lib.course.exercises import unpaired_semantic_mr as exercises
from medsynth_lib.data.classes import HEAD_CLASSES
from medsynth_lib.data.datasets import PairedSlices, class_numbers
from medsynth_lib.data.intensity import DEFAULT_WINDOWS
from medsynth_lib.data.prepare import PrepareConfig, prepare
from medsynth_lib.losses.segmentation import class_weights as library_weights
from medsynth_lib.phantom.cohort import default_cohort
from medsynth_lib.systems.medusis import MedUSIS
from medsynth_lib.training.evaluate import baselines
from medsynth_lib.training.profiles import profile
from medsynth_lib.visualize import truncation
from tests.course.exercises.lesson_source import NOTEBOOKS

STEM = "06_unpaired_semantic_mr"
NAMES = ("one_hot", "class_weights", "generator_loss", "truncated_noise")
EXERCISES = {name: getattr(exercises, f"check_{name}") for name in NAMES}
right_loss, right_weights = exercises.generator_loss, exercises.class_weights


def loss(fooled=lambda d: F.softplus(-d).mean(), seg=1.0, shape=lambda m, f: (m - f).square().mean()):
    """The generator's loss with one thing changed."""
    return lambda d, reading, m, f, a, b: seg * a * reading + fooled(d) + b * shape(m, f)


def per_image(labels, classes):
    counts = torch.stack([(labels == c).sum(dim=(1, 2)) for c in range(classes)]).float()
    return torch.where(counts > 0, labels[0].numel() / counts.clamp_min(1), 0.0).mean(dim=1)


def normal(uniform, limit):
    return torch.special.ndtri(uniform)


def upper_only(uniform, limit):
    return torch.special.ndtri(uniform * torch.special.ndtr(torch.tensor(limit, dtype=torch.float64)))


MUTANTS = [
    ("one_hot", lambda m, c: F.one_hot(m, c).float(), "permute"),
    ("one_hot", lambda m, c: exercises.one_hot(m, int(m.max()) + 1), "One channel is missing"),
    ("one_hot", lambda m, c: exercises.one_hot(m, c)[:, 1:], "One channel is missing"),
    ("one_hot", lambda m, c: F.one_hot(m, c).permute(0, 3, 1, 2), "multiply floats"),
    ("one_hot", lambda m, c: exercises.one_hot(m, c) * torch.arange(float(c))[:, None, None], "class numbers in the"),
    ("one_hot", lambda m, c: exercises.one_hot(m - 1, c), "channel k − 1"),
    ("one_hot", lambda m, c: 1 - exercises.one_hot(m, c), "swapped"),
    ("one_hot", lambda m, c: m[:, None].float(), "should become (B, classes, H, W)"),
    ("class_weights", lambda m, c: m.numel() / torch.bincount(m.flatten(), minlength=c), "not 1/0"),
    ("class_weights", lambda m, c: m.numel() / torch.bincount(m.flatten(), minlength=c).clamp_min(1), "got a weight"),
    ("class_weights", lambda m, c: torch.bincount(m.flatten(), minlength=c) / m.numel(), "Upside down"),
    ("class_weights", lambda m, c: torch.bincount(m.flatten(), minlength=c), "Upside down"),
    ("class_weights", lambda m, c: right_weights(m, c) / 2, "Half of it"),
    ("class_weights", per_image, "before the division"),
    ("class_weights", lambda m, c: right_weights(m, c) / right_weights(m, c).sum(), "sum to 1"),
    ("class_weights", lambda m, c: right_weights(m, c) / 3, "number of classes as well"),
    ("class_weights", lambda m, c: right_weights(m, c).sqrt(), "root"),
    ("class_weights", lambda m, c: right_weights(m, c) + 1, "of 32 pixels"),
    ("generator_loss", loss(lambda d: F.softplus(d).mean()), "discriminator's wish"),
    ("generator_loss", loss(lambda d: -F.softplus(d).mean()), "saturating"),
    ("generator_loss", loss(lambda d: F.softplus(-d.sigmoid()).mean()), "without a sigmoid"),
    ("generator_loss", loss(seg=-1.0), "wrong sign"),
    ("generator_loss", loss(shape=lambda m, f: (m - f).square().sum()), "sum over pixels"),
    ("generator_loss", loss(shape=lambda m, f: (m - f).abs().mean()), "absolute"),
    ("generator_loss", lambda d, r, m, f, a, b: right_loss(d, r, m, f, 1.0, 1.0), "weights are missing"),
    ("generator_loss", loss(shape=lambda m, f: 0.0), "mask term is missing"),
    ("generator_loss", loss(seg=0.0), "segmentation term is missing"),
    ("generator_loss", loss(shape=lambda m, f: (m - f.detach()).square().mean()), "through the mask term"),
    ("generator_loss", lambda d, r, m, f, a, b: right_loss(d.detach(), r, m, f, a, b), "through the adversarial"),
    ("generator_loss", lambda *given: right_loss(*given).detach(), "nothing can learn"),
    ("generator_loss", loss(lambda d: F.softplus(-d)), "one number"),
    ("truncated_noise", normal, "not used"),
    ("truncated_noise", lambda u, a: normal(u, a).clamp(-a, a), "Clipped"),
    ("truncated_noise", lambda u, a: a * normal(u, a), "Scaled"),
    ("truncated_noise", lambda u, a: (2 * u - 1) * a, "uniform distribution"),
    ("truncated_noise", upper_only, "right only"),
    (
        "truncated_noise",
        lambda u, a: torch.special.ndtr(truncation.truncated_noise(u, a)),
        "stopped at the probability",
    ),
    ("truncated_noise", lambda u, a: 3 * truncation.truncated_noise(u, a), "outside"),
    ("truncated_noise", lambda u, a: truncation.truncated_noise(u, a) / 2, "should become"),
]


@pytest.mark.parametrize(("name", "mutant", "hint"), MUTANTS, ids=[f"{name}-{hint}" for name, _, hint in MUTANTS])
def test_each_wrong_answer_gets_its_hint(name, mutant, hint):
    judgement = judge_attempt(mutant, EXERCISES[name])
    assert judgement.status == "misconception"
    assert hint in judgement.hint


def test_the_references_are_what_the_library_does():
    labels = torch.randint(0, 6, (3, 8, 8), generator=torch.Generator().manual_seed(0))
    system = MedUSIS(profile("medusis", "smoke").system)
    torch.testing.assert_close(exercises.one_hot(labels, 38), system.one_hot(labels))
    torch.testing.assert_close(right_weights(labels, 9), library_weights(labels, 9))
    uniform = torch.linspace(0.01, 0.99, 9)
    for limit in (0.5, 2.0, math.inf):
        wanted = truncation.truncated_noise(uniform, limit)
        torch.testing.assert_close(exercises.truncated_noise(uniform, limit), wanted, atol=1e-5, rtol=1e-5)


# The failure clinic, on the look-up table in place of a trained generator


@pytest.fixture(scope="module")
def clinic(tmp_path_factory) -> dict:
    """The names that the clinic's cells use, and what these cells define."""
    root = default_cohort("head", "smoke")
    settings = PrepareConfig(source="LABELS", target="MR", size=64, test=0.25)
    store = prepare(root, tmp_path_factory.mktemp("clinic") / "store", settings)
    batches = list(PairedSlices(store, "test").in_order())
    source, real = (torch.cat([getattr(batch, end) for batch in batches]) for end in ("source", "target"))

    class Painter:
        translate = staticmethod(baselines(store)["look-up table"])

    space = {
        **{"torch": torch, "np": np, "F": F, "HEAD_CLASSES": HEAD_CLASSES, "DEFAULT_WINDOWS": DEFAULT_WINDOWS},
        **{"SEED": 0, "system": Painter, "painted": lambda translate, maps: translate(maps), "real": real},
        "test_labels": class_numbers(source)[:, 0].long(),
        "numbers": np.unique(store["LABELS"][PairedSlices(store).indices]),
    }
    for id in ("clinic-break", "clinic-diagnose-run", "clinic-fix-run"):
        exec(code_of(id), space)  # noqa: S102, our own notebook
    return space


def code_of(id: str) -> str:
    (cell,) = [cell for cell in nbformat.read(NOTEBOOKS / f"{STEM}.ipynb", 4).cells if cell.id == id]
    return cell.source


def test_bilinear_maps_show_organs_that_no_head_has_and_paint_a_worse_image(clinic):
    bent = clinic["brought_back"](clinic["test_labels"], "bilinear")
    assert len(clinic["foreign"](bent, clinic["numbers"])) >= 10
    assert clinic["score_of"](bent) > 1.05 * clinic["score_of"](clinic["test_labels"])


def test_nearest_neighbour_mends_them_exactly(clinic):
    mended = clinic["brought_back"](clinic["test_labels"], "nearest-exact")
    assert torch.equal(mended, clinic["test_labels"])
    assert not clinic["foreign"](mended, clinic["numbers"])
    assert clinic["score_of"](mended) == clinic["score_of"](clinic["test_labels"])
