"""Lesson 07's exercises: the reference passes, the untouched stub waits, each wrong idea gets its own hint."""

import ast

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from medsynth_lib.course.exercise import judge_attempt
from medsynth_lib.course.exercises import trust_and_evaluation as exercises
from medsynth_lib.metrics import fidelity
from tests.course.exercises.lesson_source import NOTEBOOKS

STEM = "07_trust_and_evaluation"
NAMES = ("ssim_in_window", "find_the_leak", "bootstrap_over_patients", "lesion_recall")
EXERCISES = {name: getattr(exercises, f"check_{name}") for name in NAMES}


def with_range(width):
    def attempt(fake, real, low, high, ssim):
        return ssim(fake.clamp(low, high), real.clamp(low, high), data_range=width(fake, real, low, high)).mean()

    return attempt


def rms(one, other):
    return np.sqrt(((one - other) ** 2).mean())


def pairs(train, test, same):
    return {(name, other) for name, a in test.items() for other, b in train.items() if same(a, b)}


def nearest(image, references):
    return min(rms(image, one) for one in references)


def nearest_patient(train, test, limit):
    return {
        (name, min(train, key=lambda other: np.median([nearest(image, train[other]) for image in images])))
        for name, images in test.items()
    }


def any_slice(train, test, limit):
    return pairs(train, test, lambda a, b: min(nearest(image, b) for image in a) < limit)


def slice_by_slice(train, test, limit):
    return pairs(train, test, lambda a, b: np.mean([rms(x, y) for x, y in zip(a, b, strict=False)]) < limit)


def draws_of(values, draws, seed):
    return np.random.default_rng(seed).choice(values, (draws, len(values))).mean(axis=1)


def means_of(scores, patients):
    return np.array([scores[patients == name].mean() for name in np.unique(patients)])


def ends(values, outside=0.025):
    return tuple(np.quantile(values, [outside, 1 - outside]))


def pooled(scores, patients, draws, seed):
    rng, names = np.random.default_rng(seed), np.unique(patients)
    groups = [scores[patients == name] for name in names]
    chosen = rng.integers(0, len(names), (draws, len(names)))
    return ends([np.concatenate([groups[i] for i in row]).mean() for row in chosen])


def normal_spread(scores, patients, draws, seed):
    means = means_of(scores, patients)
    return means.mean() - 1.96 * means.std(ddof=1), means.mean() + 1.96 * means.std(ddof=1)


def unseeded(scores, patients, draws, seed):
    return ends(draws_of(means_of(scores, patients), draws, np.random.SeedSequence()))


def shuffled(scores, patients, draws, seed):
    rng, means = np.random.default_rng(seed), means_of(scores, patients)
    return ends([rng.permutation(means).mean() for _ in range(draws)])


def of_means(outside):
    return lambda scores, patients, draws, seed: ends(draws_of(means_of(scores, patients), draws, seed), outside)


def zero_where_none(fake, real, hot):
    return float((fake[real >= hot] >= hot).mean()) if (real >= hot).any() else 0.0


MUTANTS = [
    ("ssim_in_window", with_range(lambda f, r, low, high: 255), "8-bit"),
    ("ssim_in_window", with_range(lambda f, r, low, high: high), "not its upper end"),
    ("ssim_in_window", with_range(lambda f, r, low, high: 1), "in [0, 1]; these are in HU"),
    ("ssim_in_window", with_range(lambda f, r, low, high: 2), "in [-1, 1]; these are in HU"),
    ("ssim_in_window", with_range(lambda f, r, low, high: 2000), "use `low` and `high`"),
    ("ssim_in_window", with_range(lambda f, r, low, high: low - high), "positive"),
    ("ssim_in_window", with_range(lambda f, r, low, high: float(r.max() - r.min())), "happens to span"),
    ("ssim_in_window", with_range(lambda f, r, low, high: 123), "R is 400"),
    ("ssim_in_window", lambda f, r, low, high, ssim: ssim(f, r, data_range=high - low).mean(), "beyond the window"),
    (
        "ssim_in_window",
        lambda f, r, low, high, ssim: ssim(f.clamp(low, high), r, data_range=high - low).mean(),
        "Only one of the two",
    ),
    (
        "ssim_in_window",
        lambda f, r, low, high, ssim: ssim(f.clamp(low, high), r.clamp(low, high), data_range=high - low),
        "one value per image",
    ),
    ("ssim_in_window", lambda f, r, low, high, ssim: (f - r).abs().mean(), "Call the `ssim`"),
    ("find_the_leak", lambda train, test, limit: {(n, n) for n in set(train) & set(test)}, "names may differ"),
    ("find_the_leak", lambda train, test, limit: pairs(train, test, np.array_equal), "Only an exact copy"),
    ("find_the_leak", slice_by_slice, "may begin elsewhere"),
    ("find_the_leak", nearest_patient, "Everybody has a nearest"),
    ("find_the_leak", any_slice, "Slices of air"),
    (
        "find_the_leak",
        lambda train, test, limit: {(b, a) for a, b in exercises.find_the_leak(train, test, limit)},
        "swapped",
    ),
    (
        "find_the_leak",
        lambda train, test, limit: {(a,) for a, _ in exercises.find_the_leak(train, test, limit)},
        "Return pairs",
    ),
    ("find_the_leak", lambda train, test, limit: len(exercises.find_the_leak(train, test, limit)), "set of pairs"),
    ("bootstrap_over_patients", lambda s, p, d, seed: ends(draws_of(s, d, seed)), "You drew slices"),
    ("bootstrap_over_patients", pooled, "weigh more"),
    ("bootstrap_over_patients", shuffled, "with replacement"),
    ("bootstrap_over_patients", normal_spread, "not of their mean"),
    ("bootstrap_over_patients", lambda s, p, d, seed: ends(means_of(s, p)), "take the mean of each draw"),
    ("bootstrap_over_patients", of_means(0.05), "90 %"),
    ("bootstrap_over_patients", of_means(0.16), "68 %"),
    ("bootstrap_over_patients", lambda *a: exercises.bootstrap_over_patients(*a)[::-1], "(low, high)"),
    ("bootstrap_over_patients", lambda *a: exercises.bootstrap_over_patients(*a)[0], "two numbers"),
    ("bootstrap_over_patients", lambda s, p, d, seed: (0.0, 1.0), "Expected about"),
    ("bootstrap_over_patients", unseeded, "The same seed"),
    ("lesion_recall", lambda f, r, hot: ((f >= hot) & (r >= hot)).sum() / len(r), "all lesions"),
    ("lesion_recall", lambda f, r, hot: ((f >= hot) & (r >= hot)).sum() / (f >= hot).sum(), "precision"),
    ("lesion_recall", lambda f, r, hot: (f >= hot).sum() / (r >= hot).sum(), "invented there"),
    ("lesion_recall", lambda f, r, hot: (f[r > hot] > hot).mean(), ">="),
    ("lesion_recall", lambda f, r, hot: ((f >= hot) & (r >= hot)).sum(), "a count"),
    ("lesion_recall", lambda f, r, hot: (f[r >= hot] < hot).mean(), "what was found"),
    ("lesion_recall", lambda f, r, hot: exercises.lesion_recall(f, r, 2.5), "Use `hot`"),
    ("lesion_recall", zero_where_none, "neither 0"),
    ("lesion_recall", lambda f, r, hot: f.mean() / r.mean(), "Two of the four"),
]


@pytest.mark.parametrize(("name", "mutant", "hint"), MUTANTS, ids=[f"{name}-{hint}" for name, _, hint in MUTANTS])
def test_each_wrong_answer_gets_its_hint(name, mutant, hint):
    judgement = judge_attempt(mutant, EXERCISES[name])
    assert judgement.status == "misconception", judgement
    assert hint in judgement.hint


def test_other_seeds_of_a_right_bootstrap_pass_too():
    for seed in range(5):
        attempt = lambda s, p, d, _, seed=seed: ends(draws_of(means_of(s, p), d, seed))  # noqa: E731
        assert judge_attempt(attempt, EXERCISES["bootstrap_over_patients"]).status == "solved"


# What the notebook builds


def space_of(*ids):
    """The names that the functions at the head of these cells define."""
    cells = {cell.id: cell.source for cell in nbformat.read(NOTEBOOKS / f"{STEM}.ipynb", 4).cells}
    space = {"np": np, "torch": torch, "F": F, "gaussian_filter": gaussian_filter}
    for id in ids:
        tree = ast.parse(cells[id])
        tree.body = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.Import, ast.ImportFrom))]
        exec(compile(tree, id, "exec"), space)  # noqa: S102, our own notebook
    return space


def images(shape, seed=0):
    rng = np.random.default_rng(seed)
    real = np.abs(gaussian_filter(rng.normal(0, 20, shape), 2)) + np.linspace(0, 3, shape[-1])
    return real, real + 0.1 * rng.standard_normal(shape)


def test_the_built_metrics_are_the_librarys():
    space = space_of("build-metrics")
    real, fake = images((40, 50))
    for name in ("psnr", "ssim"):
        tensors = (torch.from_numpy(one)[None, None] for one in (fake, real))
        assert space[name](fake, real, 7.0) == pytest.approx(float(getattr(fidelity, name)(*tensors, data_range=7.0)))


def test_strangers_are_alike_with_the_wrong_range_only():
    ssim = space_of("build-metrics")["ssim"]
    one, other = np.random.default_rng(0).random((2, 64, 64))
    assert ssim(one, other, 255) > 0.98
    assert abs(ssim(one, other, 1)) < 0.1


def test_the_copier_knows_whom_it_has_seen_and_hands_anybody_else_a_strangers_image():
    copier = space_of("leak-copier")["copier"]
    generator = torch.Generator().manual_seed(0)
    sources, targets = torch.rand(2, 6, 1, 64, 64, generator=generator)
    draw = copier(sources, targets)
    assert torch.equal(draw(sources[2:4]), targets[2:4])
    new = draw(torch.rand(1, 1, 64, 64, generator=generator))
    assert any(torch.equal(new[0], target) for target in targets)


def test_paired_differences_are_matched_by_patient_not_by_place():
    paired_difference = space_of("paired-run")["paired_difference"]
    one = {"A": 1.0, "B": 5.0, "C": 9.0}
    other = {"C": 8.0, "A": 0.0, "B": 4.0}
    assert paired_difference(one, other) == (1.0, 0.0)


def test_the_membership_auc_is_a_half_for_equals_and_one_where_training_errors_are_smaller():
    auc = space_of("memory-membership")["auc"]
    errors = np.array([1.0, 2.0, 3.0])
    assert auc(errors, errors) == 0.5
    assert auc(errors, errors + 5) == 1.0
    assert auc(errors + 5, errors) == 0.0


# The failure clinic


def test_the_clinics_score_does_not_see_suv_ten_times_too_low_and_the_fixed_window_does():
    space = space_of("build-metrics", "clinic-break", "clinic-diagnose-run", "clinic-fix-run")
    real, fake = images((6, 40, 40))
    broken, mended = space["colleagues_score"], space["score_in_suv"]
    assert broken(0.1 * fake, real) == pytest.approx(broken(fake, real), abs=1e-6)
    assert mended(0.1 * fake, real) < mended(fake, real) - 3
    assert {"SUV halved", "SUV lifted by 1"} <= set(space["examine"](broken, real))
    assert space["examine"](mended, real) == []
