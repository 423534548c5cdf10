"""Batches are a pure function of (seed, step), whoever asks and in whatever order; pairs are moved alike."""

import random
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from medsynth_lib.conventions import Batch
from medsynth_lib.data import datasets
from medsynth_lib.data.datasets import Augmentation, PairedSlices, UnpairedSlices, warp
from medsynth_lib.data.intensity import DEFAULT_WINDOWS
from medsynth_lib.errors import InputError
from tests.data.cohort_factory import write_store

NOTHING = Augmentation(flip=0.0, rotation_deg=0.0, zoom=0.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    patients = {"P1": ("train", 7), "P2": ("test", 5), "P3": ("train", 6), "P4": ("validation", 2)}
    return write_store(tmp_path_factory.mktemp("store"), patients)


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.source, other.source) and torch.equal(one.target, other.target) and one.names == other.names


# Which slices


def test_a_batch_is_a_function_of_seed_and_step_alone(store):
    data = PairedSlices(store, augmentation=Augmentation(), seed=3)
    steps = list(range(12))
    expected = [data.batch(step, 4) for step in steps]
    again = PairedSlices(store, augmentation=Augmentation(), seed=3)
    random.Random(0).shuffle(steps)
    for step in steps:  # in another order, by another object
        torch.manual_seed(step)
        np.random.seed(step)
        assert same(again.batch(step, 4), expected[step])
    other = PairedSlices(store, augmentation=Augmentation(), seed=4)
    assert not any(same(other.batch(step, 4), expected[step]) for step in steps)


@pytest.mark.parametrize("line", range(1, 4))
def test_two_threads_that_ask_for_different_epochs_do_not_disturb_each_other(store, line):
    """The trainer prepares the next batch in one thread while it measures batch norm on the first ones in another.

    Here the second thread's turn comes before the given line of the first one's choice of slices.
    """
    expected = [PairedSlices(store).batch(step, 4).names for step in range(8)]
    data, lines, early, tracing = PairedSlices(store), [], [], sys.gettrace()
    data.batch(1, 4)

    def switch(frame, event, argument):
        lines.append(frame.f_lineno) if event == "line" else None
        if len(lines) == line and not early:
            sys.settrace(None)
            early.append(data.batch(0, 4).names)
        return switch

    choice = datasets._shuffled.__code__
    sys.settrace(lambda frame, event, argument: switch if frame.f_code is choice else None)
    try:
        late = data.batch(7, 4).names
    finally:
        sys.settrace(tracing)
    assert [*early, late] == [expected[0], expected[7]]
    assert [data.batch(step, 4).names for step in (7, 0)] == [expected[7], expected[0]]


@pytest.mark.parametrize("batch_size", [1, 4, 5, 40])
def test_every_epoch_shows_every_training_slice_once(store, batch_size):
    data = PairedSlices(store, seed=1)
    assert len(data) == 13
    shown = [name for step in range(-(-3 * 13 // batch_size)) for name in data.batch(step, batch_size).names]
    epochs = [shown[start : start + 13] for start in (0, 13, 26)]
    assert all(len(set(epoch)) == 13 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert {name.split()[0] for name in shown} == {"P1", "P3"}


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_out_the_batch_that_one_process_would_see(store, world_size):
    data = PairedSlices(store, augmentation=Augmentation(), seed=5)
    for step in range(6):
        whole = data.batch(step, 2 * world_size)
        parts = [data.batch(step, 2, rank=rank, world_size=world_size) for rank in range(world_size)]
        assert sum((part.names for part in parts), ()) == whole.names
        for field in ("source", "target"):
            assert torch.equal(torch.cat([getattr(part, field) for part in parts]), getattr(whole, field))


def test_splits_share_no_patient_and_no_slice(store):
    splits = [PairedSlices(store, split) for split in ("train", "validation", "test")]
    indices = [set(data.indices.tolist()) for data in splits]
    assert set.union(*indices) == set(range(20))
    assert sum(map(len, indices)) == 20
    patients = [patient.key for data in splits for patient in data.patients]
    assert sorted(patients) == ["P1", "P2", "P3", "P4"]


def test_a_split_without_patients_is_told(tmp_path):
    with pytest.raises(InputError, match="validation split has no patients"):
        PairedSlices(write_store(tmp_path, {"P1": ("train", 1)}), "validation")


def test_in_order_shows_each_slice_once_as_stored_with_its_body(store):
    data, count = PairedSlices(store, "test", augmentation=Augmentation()), 0
    for batch in data.in_order(batch_size=2):
        for index in range(len(batch)):
            stored = 7 + count
            expected = DEFAULT_WINDOWS["CT"].encode(store["CT"][stored].astype(np.float32))
            np.testing.assert_allclose(batch.target[index, 0].numpy(), expected, atol=1e-6)
            np.testing.assert_array_equal(batch.body[index, 0].numpy(), store["BODY"][stored])
            assert batch.names[index] == f"P2 z={5 * count} mm"
            count += 1
    assert count == 5
    alone = [batch.names for batch in data.in_order(patient=store.patients[3])]
    assert alone == [("P4 z=0 mm", "P4 z=5 mm")]


def test_values_are_encoded_by_each_modality_s_window(store):
    batch = PairedSlices(store).batch(0, 8)
    for images in (batch.source, batch.target):
        assert images.shape == (8, 1, 32, 32)
        assert images.dtype == torch.float32
        assert (float(images.min()), float(images.max())) == pytest.approx((-1, 1), abs=1e-3)  # noise fills it


def test_source_and_target_can_be_exchanged(store):
    there, back = PairedSlices(store).batch(3, 2), PairedSlices(store, source="CT", target="PET").batch(3, 2)
    assert torch.equal(there.source, back.target)
    assert torch.equal(there.target, back.source)


# How they are moved


class Ends:
    """A generator that always draws the largest angle and zoom, and mirrors or not."""

    def __init__(self, draw: float):
        self.draw = draw

    def random(self, count):
        return np.full(count, self.draw)

    def uniform(self, low, high, count):
        return np.full(count, high)


@pytest.fixture
def images():
    return torch.rand(3, 2, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def moved(images, draw=1.0, **settings):
    augmentation = Augmentation(**{"flip": 0.5, "rotation_deg": 0.0, "zoom": 0.0, **settings})
    return warp(images, augmentation.matrices(len(images), Ends(draw)))


def test_no_flip_no_rotation_and_no_zoom_change_nothing(store, images):
    rng = np.random.default_rng(0)
    torch.testing.assert_close(warp(images, NOTHING.matrices(3, rng)), images, atol=2e-6, rtol=0)
    plain, nothing = (PairedSlices(store, augmentation=one).batch(2, 4) for one in (None, NOTHING))
    torch.testing.assert_close(nothing.source, plain.source, atol=2e-6, rtol=0)


def test_a_flip_is_a_left_right_mirror_and_twice_is_nothing(images):
    once = moved(images, draw=0.0)
    torch.testing.assert_close(once, images.flip(-1), atol=2e-6, rtol=0)
    torch.testing.assert_close(moved(once, draw=0.0), images, atol=4e-6, rtol=0)


def test_a_quarter_turn_is_exact(images):
    torch.testing.assert_close(moved(images, rotation_deg=90.0), images.rot90(1, (-2, -1)), atol=1e-5, rtol=0)
    assert not torch.allclose(moved(images, draw=0.0, rotation_deg=90.0), moved(images, rotation_deg=90.0))


@pytest.mark.parametrize("rotation_deg", [0.0, 10.0, 35.0])
@pytest.mark.parametrize("zoom", [-0.25, 0.0, 0.3])
def test_area_follows_zoom_alone(rotation_deg, zoom):
    """Rigid but for the zoom: a disc stays one, its area divided by the scale squared, its centre turned."""
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    disc = (torch.hypot(x - 80, y - 63.5) < 12).float()[None, None] * 2 - 1
    seen = (moved(disc, rotation_deg=rotation_deg, zoom=zoom)[0, 0] + 1) / 2
    assert float(seen.sum()) == pytest.approx(np.pi * 12**2 / (1 + zoom) ** 2, rel=0.02)
    centre = [float((seen * axis).sum() / seen.sum()) - 63.5 for axis in (x, y)]
    assert np.hypot(*centre) == pytest.approx(16.5 / (1 + zoom), abs=0.3)
    assert abs(np.rad2deg(np.arctan2(centre[1], centre[0]))) == pytest.approx(rotation_deg, abs=1)


def test_what_comes_from_outside_is_background():
    assert moved(torch.ones(1, 1, 32, 32), rotation_deg=45.0)[0, 0, 0, 0] == -1
    assert moved(torch.ones(1, 1, 32, 32), zoom=0.5)[0, 0, 0, 0] == -1


def test_values_stay_in_range(images):
    for seed in range(20):
        seen = warp(images, Augmentation(rotation_deg=180, zoom=0.5).matrices(3, np.random.default_rng(seed)))
        assert seen.abs().max() <= 1 + 1e-6


def test_source_and_target_move_alike(tmp_path):
    """A pair of identical images stays identical, and moves."""
    store = write_store(tmp_path, {"P1": ("train", 8)})
    data = PairedSlices(store, source="CT", target="CT", augmentation=Augmentation())
    still = PairedSlices(store, source="CT", target="CT")
    for step in range(5):
        batch = data.batch(step, 4)
        assert torch.equal(batch.source, batch.target)
        assert not torch.allclose(batch.source, still.batch(step, 4).source, atol=0.1)


def test_gain_scales_the_source_alone(tmp_path):
    """The target's own scale is what is to be learnt."""
    store = write_store(tmp_path, {"P1": ("train", 8)})
    batches = [PairedSlices(store, augmentation=replace(NOTHING, source_gain=gain)).batch(0, 6) for gain in (0.0, 0.3)]
    assert torch.equal(batches[0].target, batches[1].target)
    assert not torch.equal(batches[0].source, batches[1].source)


def test_images_of_a_batch_are_moved_differently_and_within_the_limits():
    matrices = Augmentation(flip=0.5, rotation_deg=10.0, zoom=0.1).matrices(4000, np.random.default_rng(0))
    linear = matrices[:, :, :2].double()
    scale = torch.linalg.det(linear).abs().sqrt()
    mirrored = torch.linalg.det(linear) < 0
    angle = torch.rad2deg(torch.atan2(-linear[:, 0, 1], linear[:, 1, 1]))
    assert 0.9 <= scale.min() < 0.91 < 1.09 < scale.max() <= 1.1
    assert 9.9 < angle.abs().max() <= 10
    assert abs(mirrored.float().mean() - 0.5) < 5 * (0.25 / 4000) ** 0.5
    assert matrices[:, :, 2].eq(0).all()


def patients_of(names: list[str]) -> set[str]:
    return {name.split()[0] for name in names}


def test_unpaired_batches_never_show_one_patient_on_both_sides(tmp_path):
    store = write_store(tmp_path, {f"P{index}": ("train", 3) for index in range(5)})
    for seed in range(4):
        data = UnpairedSlices(store, seed=seed)
        names = [name.split(" / ") for step in range(40) for name in data.batch(step, 4).names]
        sources, targets = (patients_of([pair[side] for pair in names]) for side in (0, 1))
        assert not sources & targets
        assert len(sources) == 3
        assert len(targets) == 2
    assert len({tuple(one.key for one in UnpairedSlices(store, seed=seed).source_patients) for seed in range(8)}) > 1


def test_unpaired_sides_show_every_slice_once_an_epoch_in_their_own_order(tmp_path):
    store = write_store(tmp_path, {f"P{index}": ("train", 6) for index in range(4)})
    data = UnpairedSlices(store)
    names = [name.split(" / ") for step in range(6) for name in data.batch(step, 4).names]
    for side in (0, 1):
        shown = [pair[side] for pair in names]
        assert sorted(shown[:12]) == sorted(shown[12:])
        assert len(set(shown[:12])) == 12
    places = [[pair[side].split()[1] for pair in names] for side in (0, 1)]
    assert places[0] != places[1]


def test_unpaired_images_are_the_ones_named(tmp_path):
    store = write_store(tmp_path, {f"P{index}": ("train", 3) for index in range(4)})
    data = UnpairedSlices(store)
    known = {data.name(index): index for index in range(len(store))}
    batch = data.batch(3, 4)
    for place, name in enumerate(batch.names):
        source, target = (known[one] for one in name.split(" / "))
        assert torch.equal(batch.source[place], data._encoded("PET", np.array([source]))[0])
        assert torch.equal(batch.target[place], data._encoded("CT", np.array([target]))[0])


def test_unpaired_processes_share_out_the_batch_of_one(tmp_path):
    store = write_store(tmp_path, {f"P{index}": ("train", 3) for index in range(4)})
    data = UnpairedSlices(store, augmentation=Augmentation(), seed=2)
    whole = data.batch(5, 6)
    parts = [data.batch(5, 2, rank=rank, world_size=3) for rank in range(3)]
    for image in ("source", "target"):
        torch.testing.assert_close(torch.cat([getattr(part, image) for part in parts]), getattr(whole, image))


def test_unpaired_scores_are_of_pairs(store):
    paired, unpaired = PairedSlices(store), UnpairedSlices(store)
    assert all(same(*both) for both in zip(paired.in_order(), unpaired.in_order(), strict=True))


def test_one_patient_cannot_be_unpaired(tmp_path):
    with pytest.raises(InputError, match="two patients"):
        UnpairedSlices(write_store(tmp_path, {"P1": ("train", 3)}))


# Neighbouring planes


def test_neighbours_are_channels_feet_first_and_never_another_patients(store):
    alone, three = PairedSlices(store), PairedSlices(store, context=3)
    for patient in store.split("train"):
        single = torch.cat([batch.source for batch in alone.in_order(patient=patient)])[:, 0]
        beside = torch.cat([batch.source for batch in three.in_order(patient=patient)])
        below, above = torch.cat([single[:1], single[:-1]]), torch.cat([single[1:], single[-1:]])
        assert torch.equal(beside, torch.stack([below, single, above], dim=1))


def test_neighbours_change_neither_the_slice_nor_its_target(store):
    options = {"augmentation": Augmentation(source_gain=0.2), "seed": 5}
    alone, three = PairedSlices(store, **options).batch(2, 6), PairedSlices(store, context=3, **options).batch(2, 6)
    assert torch.equal(three.source[:, 1:2], alone.source)
    assert torch.equal(three.target, alone.target)
    assert not torch.equal(three.source[:, 0:1], alone.source)


@pytest.mark.parametrize("context", [0, 2, -1])
def test_a_slice_has_as_many_neighbours_below_as_above(store, context):
    with pytest.raises(InputError, match="odd number"):
        PairedSlices(store, context=context)
