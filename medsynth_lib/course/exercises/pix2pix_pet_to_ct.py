"""Exercises of lesson 02: reference solutions, and checks that know the usual misconceptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medsynth_lib.course.exercise import Misconception
from medsynth_lib.course.exercises.loss_checks import expect_only_discriminator_learns, expect_value

Discriminator = Callable[[Tensor], Tensor]


# --- E1: from network output back to Hounsfield units ---------------------------------------------------------------


def decode_hu_window(output: Tensor, low: float, high: float) -> Tensor:
    """Network output in [-1, 1] → HU on the window [low, high]: ``(output + 1) / 2 · (high - low) + low``."""
    return (output + 1) / 2 * (high - low) + low


def check_decode_hu_window(attempt: Callable[[Tensor, float, float], Tensor]) -> None:
    """Ends and middle of two windows, one of them not centred on 0."""
    ends = torch.tensor([-1.0, 0.0, 1.0])
    found = attempt(ends, -1000.0, 1000.0)
    if torch.allclose(found, torch.tensor([-3000.0, -1000.0, 1000.0])):
        raise Misconception("You scaled [-1, 1] as if it were [0, 1]: first add 1 and halve, then stretch and shift.")
    if torch.allclose(found, torch.tensor([-2000.0, 0.0, 2000.0])):
        raise Misconception("The window is (high - low) wide, but [-1, 1] is already 2 wide: divide by 2.")
    off_centre = attempt(ends, -160.0, 240.0)
    if torch.allclose(off_centre, torch.tensor([-200.0, 0.0, 200.0])):
        raise Misconception("Right width, wrong place: output -1 must become `low`. Add the offset of the window.")
    if torch.allclose(off_centre, torch.tensor([-1000.0, 0.0, 1000.0])):
        raise Misconception("You wrote one window into the function: use `low` and `high`, a bone window differs.")
    expected = torch.tensor([-160.0, 40.0, 240.0])
    assert torch.allclose(off_centre, expected), (
        f"On the window [-160, 240], outputs -1, 0, 1 should be -160, 40, 240 HU, not {off_centre.tolist()}."
    )


# --- E2: the discriminator's loss -----------------------------------------------------------------------------------


def discriminator_loss(discriminator: Discriminator, source: Tensor, target: Tensor, fake_target: Tensor) -> Tensor:
    """½ [−log σ(D(x, y)) − log(1 − σ(D(x, G(x))))], with no gradient into the generator."""
    real_logits = discriminator(torch.cat([source, target], dim=1))
    fake_logits = discriminator(torch.cat([source, fake_target.detach()], dim=1))
    real = F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
    fake = F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
    return 0.5 * (real + fake)


def check_discriminator_loss(attempt: Callable[..., Tensor]) -> None:
    """A discriminator with one known convolution; value first, then where its gradients go."""
    generator = torch.Generator().manual_seed(0)
    source, target, fake = (torch.rand(2, 1, 8, 8, generator=generator) * 2 - 1 for _ in range(3))
    fake.requires_grad_(True)
    judge = nn.Conv2d(2, 1, 1)
    nn.init.constant_(judge.weight, 0.7)
    nn.init.constant_(judge.bias, 0.3)
    try:
        loss = attempt(judge, source, target, fake)
    except RuntimeError as error:
        if "channels" in str(error):
            raise Misconception(
                "The discriminator is conditional: show it the pair, torch.cat([source, image], dim=1)."
            ) from error
        raise
    _check_discriminator_value(loss, judge, source, target, fake.detach())
    expect_only_discriminator_learns(loss, judge, fake, "logits")


def _check_discriminator_value(loss: Tensor, judge: nn.Module, source: Tensor, target: Tensor, fake: Tensor) -> None:
    with torch.no_grad():
        right = discriminator_loss(judge, source, target, fake)
        real_logits, fake_logits = (judge(torch.cat([source, image], dim=1)) for image in (target, fake))
        known = {
            "Labels swapped: real pairs are labelled 1, synthetic ones 0.": discriminator_loss(
                judge, source, fake, target
            ),
            "Twice too large: the paper halves the sum, so that the discriminator learns more slowly.": 2 * right,
            "A sigmoid too many: binary_cross_entropy_with_logits takes the logits as they are.": 0.5
            * (F.softplus(-real_logits.sigmoid()).mean() + F.softplus(fake_logits.sigmoid()).mean()),
            "Only real pairs are judged: a discriminator must also learn what is fake.": F.softplus(
                -real_logits
            ).mean(),
        }
    assert loss.ndim == 0, f"A loss is one number: take the mean over patches and batch (yours is {tuple(loss.shape)})."
    expect_value(loss, right, known)


# --- E3: a split that does not leak ---------------------------------------------------------------------------------


def patient_split(patients: Sequence[str], test_part: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices of training and test slices; ``patients[i]`` says whose slice ``i`` is. No patient is in both."""
    names = sorted(set(patients))
    count = max(1, round(test_part * len(names)))
    test = set(np.random.default_rng(seed).permutation(names)[:count])
    train_slices = [index for index, name in enumerate(patients) if name not in test]
    return train_slices, [index for index, name in enumerate(patients) if name in test]


def check_patient_split(attempt: Callable[[Sequence[str], float, int], tuple[list[int], list[int]]]) -> None:
    """Eight patients with unequal numbers of slices."""
    patients = [f"P{number}" for number in range(8) for _ in range(5 + number)]
    train, test = (list(map(int, part)) for part in attempt(patients, 0.25, 0))
    if set(train) & set(test):
        raise Misconception("Some slices are in both parts.")
    if len(train) + len(test) != len(patients):
        raise Misconception("Every slice belongs to one of the two parts: some are missing, or are there twice.")
    shared = {patients[index] for index in train} & {patients[index] for index in test}
    if shared:
        raise Misconception(
            f"Leakage: {len(shared)} patients have slices in both parts. Neighbouring slices are almost copies, so the "
            "test would measure memory. Choose patients first, then take all their slices."
        )
    tested = {patients[index] for index in test}
    assert len(tested) == 2, f"A quarter of 8 patients is 2, not {len(tested)}: the part counts patients."
    again = attempt(patients, 0.25, 0)
    assert [list(map(int, part)) for part in again] == [train, test], (
        "The same seed must give the same split: use a generator made from `seed`."
    )
    others = [set(map(int, attempt(patients, 0.25, seed)[1])) for seed in range(1, 6)]
    assert any(other != set(test) for other in others), "Other seeds should give other patients: `seed` is not used."
