"""Lesson 02's exercises: the reference passes, the untouched stub waits, each wrong idea gets its own hint."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from medsynth_lib.course.exercise import judge_attempt
from medsynth_lib.course.exercises import pix2pix_pet_to_ct as exercises

STEM = "02_pix2pix_pet_to_ct"
EXERCISES = {
    "decode_hu_window": exercises.check_decode_hu_window,
    "discriminator_loss": exercises.check_discriminator_loss,
    "patient_split": exercises.check_patient_split,
}


def pair(x, y):
    return torch.cat([x, y], dim=1)


def bce(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def by_slice(patients, part, seed):
    order = np.random.default_rng(seed).permutation(len(patients))
    count = round(part * len(patients))
    return sorted(order[count:]), sorted(order[:count])


def first_patients(patients, part, seed):
    names = sorted(set(patients))[: round(part * len(set(patients)))]
    test = [i for i, name in enumerate(patients) if name in names]
    return [i for i in range(len(patients)) if i not in set(test)], test


def drops_a_slice(patients, part, seed):
    train, test = exercises.patient_split(patients, part, seed)
    return train[1:], test


def unseeded(patients, part, seed):
    return exercises.patient_split(patients, part, np.random.randint(1 << 30))


MUTANTS = [
    ("decode_hu_window", lambda x, low, high: x * (high - low) + low, "as if it were [0, 1]"),
    ("decode_hu_window", lambda x, low, high: x * (high - low), "already 2 wide"),
    ("decode_hu_window", lambda x, low, high: x * (high - low) / 2, "wrong place"),
    ("decode_hu_window", lambda x, low, high: x * 1000.0, "one window into the function"),
    ("decode_hu_window", lambda x, low, high: (x + 1) / 2 * (high - low) + low + 1, "should be -160, 40, 240"),
    ("discriminator_loss", lambda d, x, y, f: 0.5 * (bce(d(pair(x, y)), 1.0) + bce(d(pair(x, f)), 0.0)), "Detach"),
    (
        "discriminator_loss",
        lambda d, x, y, f: 0.5 * (bce(d(pair(x, y)), 0.0) + bce(d(pair(x, f.detach())), 1.0)),
        "swapped",
    ),
    ("discriminator_loss", lambda d, x, y, f: bce(d(pair(x, y)), 1.0) + bce(d(pair(x, f.detach())), 0.0), "halves"),
    (
        "discriminator_loss",
        lambda d, x, y, f: 0.5 * (bce(d(pair(x, y)).sigmoid(), 1.0) + bce(d(pair(x, f.detach())).sigmoid(), 0.0)),
        "sigmoid too many",
    ),
    ("discriminator_loss", lambda d, x, y, f: bce(d(pair(x, y)), 1.0), "Only real pairs"),
    ("discriminator_loss", lambda d, x, y, f: bce(d(y), 1.0), "conditional"),
    ("discriminator_loss", lambda d, x, y, f: exercises.discriminator_loss(d, x, y, f).detach(), "require grad"),
    ("discriminator_loss", lambda d, x, y, f: d(pair(x, y)), "one number"),
    ("patient_split", by_slice, "Leakage"),
    ("patient_split", lambda patients, part, seed: (range(len(patients)), range(9)), "in both parts"),
    ("patient_split", drops_a_slice, "missing"),
    ("patient_split", first_patients, "`seed` is not used"),
    ("patient_split", unseeded, "same seed"),
]


@pytest.mark.parametrize(("name", "mutant", "hint"), MUTANTS, ids=[f"{name}-{hint}" for name, _, hint in MUTANTS])
def test_each_wrong_answer_gets_its_hint(name, mutant, hint):
    judgement = judge_attempt(mutant, EXERCISES[name])
    assert judgement.status in ("misconception", "broken")
    assert hint in judgement.hint
