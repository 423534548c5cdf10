"""Exercises of lesson 07: reference solutions, and checks that know the usual misconceptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from medsynth_lib.course.exercise import Misconception
from medsynth_lib.metrics.fidelity import ssim as library_ssim

Patients = Mapping[str, np.ndarray]
Interval = tuple[float, float]


# --- E1: the right data_range ---------------------------------------------------------------------------------------


def ssim_in_window(fake: Tensor, real: Tensor, low: float, high: float, ssim: Callable[..., Tensor]) -> Tensor:
    """Mean SSIM on the window [low, high]: both images clipped to it, R its width."""
    return ssim(fake.clamp(low, high), real.clamp(low, high), data_range=high - low).mean()


def check_ssim_in_window(attempt: Callable[..., Tensor]) -> None:
    """Two images in HU that reach beyond the window; ``ssim`` looks at what it is asked."""
    generator = torch.Generator().manual_seed(0)
    real, noise = (torch.randn(2, 1, 24, 24, generator=generator) for _ in range(2))
    real, fake = 400 * real, 400 * real + 100 * noise
    asked: list[tuple[Tensor, Tensor]] = []

    def ssim(shown_fake: Tensor, shown_real: Tensor, *, data_range: float) -> Tensor:
        _check_range(float(data_range), real, fake)
        asked.append((shown_fake, shown_real))
        return library_ssim(shown_fake, shown_real, data_range=float(data_range))

    found = attempt(fake, real, -160.0, 240.0, ssim)
    assert asked, "Call the `ssim` that you are given: it is the library's."
    _check_clipped(*asked[-1])
    if torch.as_tensor(found).ndim:
        raise Misconception("`ssim` answers with one value per image: return their mean.")
    right = ssim_in_window(fake, real, -160.0, 240.0, library_ssim)
    assert torch.isclose(torch.as_tensor(found, dtype=right.dtype), right), f"Expected {right:.4f}, got {found:.4f}."


def _check_range(data_range: float, real: Tensor, fake: Tensor) -> None:
    spans = [float(one.max() - one.min()) for one in (real, fake, real.clamp(-160, 240), fake.clamp(-160, 240))]
    known = {
        255.0: "255 is the range of 8-bit images; these are in HU, on a window of their own.",
        240.0: "The range is the window's width, high - low, not its upper end.",
        1.0: "1 is the range of images in [0, 1]; these are in HU.",
        2.0: "2 is the range of images in [-1, 1]; these are in HU.",
        2000.0: "You wrote one window's width into the function: use `low` and `high`.",
        -400.0: "A width is positive: high - low.",
    }
    if data_range in known:
        raise Misconception(known[data_range])
    if any(abs(data_range - span) < 1e-3 for span in spans if abs(span - 400) > 1e-3):
        raise Misconception("That is what *this* image happens to span: every image would get a scale of its own.")
    assert data_range == 400, f"On the window [-160, 240] R is 400, not {data_range:g}."


def _check_clipped(fake: Tensor, real: Tensor) -> None:
    outside = [bool((image < -160).any() or (image > 240).any()) for image in (fake, real)]
    if all(outside):
        raise Misconception("Right range, but the images still reach beyond the window: clip both to [low, high].")
    if any(outside):
        raise Misconception("Only one of the two is clipped: then the window's ends differ between them.")


# --- E2: one patient under two names --------------------------------------------------------------------------------


def find_the_leak(train: Patients, test: Patients, limit: float) -> set[tuple[str, str]]:
    """(test patient, training patient) whose slices are the same: the median of RMS distances to the nearest slice."""
    found = set()
    for name, images in test.items():
        for other, references in train.items():
            nearest = [np.sqrt(((references - image) ** 2).mean(axis=(1, 2))).min() for image in images]
            if np.median(nearest) < limit:
                found.add((name, other))
    return found


def check_find_the_leak(attempt: Callable[[Patients, Patients, float], set[tuple[str, str]]]) -> None:
    """A copy under another name: exact, then with noise, then from another slice on; then no copy at all."""
    rng = np.random.default_rng(0)
    train = {name: 100 * rng.standard_normal((8, 6, 6)) for name in ("ANNA", "BERT", "CARA")}
    for images in train.values():
        images[0] = -1000  # a slice of air
    copy = train["BERT"]
    noisy = copy + 2 * rng.standard_normal(copy.shape)
    fresh = 100 * rng.standard_normal((5, 6, 6))
    fresh[0] = -1000

    def ask(**test: np.ndarray) -> set:
        answer = attempt({name: one.copy() for name, one in train.items()}, test, 20.0)
        try:
            return {tuple(map(str, pair)) for pair in answer}
        except TypeError:
            raise Misconception("Return a set of pairs (test patient, training patient).") from None

    _check_pairs(ask(DORA=copy.copy()))
    if not ask(DORA=noisy):
        raise Misconception("Only an exact copy is found: exported anew, every voxel differs a little. Use `limit`.")
    if not ask(DORA=noisy[:2:-1]):
        raise Misconception("You compare slice 0 with slice 0: a copy may begin elsewhere. Look for the nearest slice.")
    innocent = ask(EVE=fresh)
    if len(innocent) == 1:
        raise Misconception("Everybody has a nearest patient: only a distance below `limit` makes it a leak.")
    if innocent:
        raise Misconception("Slices of air are alike in all patients: ask that most slices agree, not any one.")
    assert ask(DORA=noisy[:2:-1], EVE=fresh) == {("DORA", "BERT")}, "Expected {('DORA', 'BERT')}."


def _check_pairs(found: set) -> None:
    if not found:
        raise Misconception("Not found, though the images are equal: names may differ, compare the pixels.")
    if ("BERT", "DORA") in found:
        raise Misconception("Pairs are (test patient, training patient): yours are swapped.")
    if any(len(pair) != 2 for pair in found):
        raise Misconception("Return pairs (test patient, training patient), so that one can act on them.")
    if len(found) == 3:
        raise Misconception("Slices of air are alike in all patients: ask that most slices agree, not any one.")
    assert found == {("DORA", "BERT")}, f"Expected {{('DORA', 'BERT')}}, got {sorted(found)}."


# --- E3: a confidence interval --------------------------------------------------------------------------------------


def bootstrap_over_patients(scores: np.ndarray, patients: np.ndarray, draws: int, seed: int) -> Interval:
    """95 % interval of the mean over patients: each draw takes as many patients as there are, with replacement."""
    means = np.array([scores[patients == name].mean() for name in np.unique(patients)])
    drawn = np.random.default_rng(seed).choice(means, size=(draws, len(means)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def check_bootstrap_over_patients(attempt: Callable[[np.ndarray, np.ndarray, int, int], Interval]) -> None:
    """Eight patients; those with many slices score high."""
    rng = np.random.default_rng(3)
    counts = np.array([4, 6, 8, 10, 30, 50, 70, 90])
    truth = 10 + np.array([-5.31, 0.87, -2.64, 0.13, 4.42, 1.29, 5.17, 1.78])
    patients = np.repeat([f"P{number}" for number in range(8)], counts)
    scores = np.repeat(truth, counts) + rng.normal(0, 1, counts.sum())
    answer = np.asarray(attempt(scores, patients, 4000, 0), float).ravel()
    assert answer.shape == (2,), "Return two numbers: the lower and the upper end."
    low, high = answer
    if low > high:
        raise Misconception("Upper end first: return (low, high).")
    right, known = _intervals(scores, patients)
    if not _like((low, high), right):
        for hint, value in known.items():
            if _like((low, high), value):
                raise Misconception(hint)
        raise AssertionError(f"Expected about [{right[0]:.2f}, {right[1]:.2f}], got [{low:.2f}, {high:.2f}].")
    if tuple(np.asarray(attempt(scores, patients, 4000, 0), float).ravel()) != (low, high):
        raise Misconception("The same seed must give the same interval: draw from np.random.default_rng(seed).")


def _intervals(scores: np.ndarray, patients: np.ndarray) -> tuple[Interval, dict[str, Interval]]:
    """The right interval, and those of known misconceptions by their hints."""
    rng, names = np.random.default_rng(1), np.unique(patients)
    means = np.array([scores[patients == name].mean() for name in names])
    drawn = rng.choice(means, (4000, len(means))).mean(axis=1)
    slices = rng.choice(scores, (2000, len(scores))).mean(axis=1)
    groups = [scores[patients == name] for name in names]
    pooled = [np.concatenate([groups[i] for i in rng.integers(0, 8, 8)]).mean() for _ in range(2000)]
    centre, sd = means.mean(), means.std(ddof=1)
    return tuple(np.quantile(drawn, [0.025, 0.975])), {
        "You drew slices. Slices of one patient are no independent evidence: draw patients.": _ends(slices),
        "Patients with many slices weigh more: take each patient's mean first.": _ends(pooled),
        "No width at all: draw with replacement, or every draw has the same patients.": (centre, centre),
        "That is the spread of patients, not of their mean: it would not shrink with more patients.": (
            centre - 1.96 * sd,
            centre + 1.96 * sd,
        ),
        "That is the spread of patients, not of their mean: take the mean of each draw.": _ends(means),
        "That is a 90 % interval: 5 % lie outside, half of them on each side.": _ends(drawn, 0.05),
        "That is one standard error to each side, about 68 %: take the 2.5 % and 97.5 % quantiles.": _ends(drawn, 0.16),
    }


def _ends(values: np.ndarray, outside: float = 0.025) -> Interval:
    return tuple(np.quantile(values, [outside, 1 - outside]))


def _like(found: Interval, expected: Interval) -> bool:
    """Equal up to what the random draws leave open: 5 % of the width at either end."""
    return bool(np.allclose(found, expected, rtol=0, atol=0.05 * (expected[1] - expected[0]) + 1e-9))


# --- E4: the recall of lesions --------------------------------------------------------------------------------------


def lesion_recall(fake_suvmax: np.ndarray, real_suvmax: np.ndarray, hot: float) -> float:
    """The part of the lesions hot in the real PET that are hot in the synthetic one too; NaN where there are none."""
    visible = real_suvmax >= hot
    return float((fake_suvmax[visible] >= hot).mean()) if visible.any() else float("nan")


def check_lesion_recall(attempt: Callable[[np.ndarray, np.ndarray, float], float]) -> None:
    """Seven lesions, three of which the real PET does not show; two thresholds; none visible."""
    real = np.array([6.0, 2.5, 1.8, 9.0, 3.0, 2.0, 1.0])
    fake = np.array([4.0, 2.5, 3.0, 1.0, 1.2, 0.5, 0.4])
    found = float(attempt(fake, real, 2.5))
    known = {
        2 / 7: "You divide by all lesions: what the real PET does not show cannot be lost.",
        2 / 3: "You divide by the hot spots of the *synthetic* PET: that is precision. Recall asks for the real ones.",
        3 / 4: "You also count a lesion that only the synthetic PET shows: it is invented there, not found.",
        1 / 3: "SUV 2.5 exactly counts as hot: >=.",
        2.0: "That is a count: divide by the lesions that the real PET shows.",
    }
    for value, hint in known.items():
        if np.isclose(found, value):
            raise Misconception(hint)
    if np.isclose(found, 1 - 0.5) and np.isclose(float(attempt(real, real, 2.5)), 0.0):
        raise Misconception("That is the part that was lost: recall is what was found.")
    assert np.isclose(found, 0.5), f"Two of the four visible lesions are found: 0.5, not {found:.3f}."
    if not np.isclose(float(attempt(fake, real, 5.0)), 0.0):
        raise Misconception("Use `hot`: above SUV 5 the real PET shows two lesions, the synthetic one none.")
    try:
        none = float(attempt(fake[2:3], real[2:3], 2.5))
    except ZeroDivisionError:
        none = 0.0
    if not np.isnan(none):
        raise Misconception("With no visible lesion there is nothing to find: NaN, neither 0 (all lost) nor 1.")
