"""The course's segmenter: it learns organs a network can learn, and tells images whose organs lie elsewhere."""

from dataclasses import replace

import pytest
import torch

from medsynth_lib.conventions import Batch
from medsynth_lib.data.datasets import PairedSlices, class_numbers
from medsynth_lib.data.intensity import DEFAULT_WINDOWS
from medsynth_lib.data.prepare import PrepareConfig, prepare
from medsynth_lib.errors import CheckpointError, InputError
from medsynth_lib.metrics.distribution import frechet
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.run import load_system
from medsynth_lib.training.segmenter import (
    REAL,
    Segmenter,
    SegmenterConfig,
    SegmenterFeatures,
    miou_of,
    train_segmenter,
)
from tests.data.cohort_factory import ct, pet, write_patient
from tests.data.test_labels import FAT, LIVER, LUNG, labels

SMALL = SegmenterConfig(base_channels=8, depth=3, learning_rate=1e-2)
QUICK = TrainConfig(steps=100, batch_size=4, ema=0.8, amp="off", device="cpu", checkpoint_every=0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = tmp_path_factory.mktemp("labelled")
    for index, scale in enumerate((1.0, 0.95, 0.9)):
        write_patient(root, f"P{index}", labels(scale), ct(scale=scale), pet(scale=scale))
    return root


@pytest.fixture(scope="module")
def store(cohort, tmp_path_factory):
    config = PrepareConfig(source="PET", target="CT", also=("LABELS",), size=64, test=("P2",))
    return prepare(cohort, tmp_path_factory.mktemp("store") / "store", config)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("segmenter")


@pytest.fixture(scope="module")
def segmenter(store, run):
    return train_segmenter(store, run, SMALL, QUICK)


@pytest.fixture(scope="module")
def target(store):
    """A method that knows the answer: source slice → its real target."""
    known = {}
    for batch in PairedSlices(store, "test").in_order():
        known |= {float(one.sum()): image for one, image in zip(batch.source, batch.target, strict=True)}
    return lambda source: torch.stack([known[float(one.sum())] for one in source])


def test_it_learns_organs_and_ranks_methods_by_where_organs_lie(segmenter, store, target):
    def shifted(pixels):
        return lambda source: target(source).roll(pixels, dims=-1)

    methods = {"truth": target, "3 px off": shifted(3), "8 px off": shifted(8), "empty": lambda s: -torch.ones_like(s)}
    found = miou_of(methods, segmenter, store, device="cpu")
    scores = {method: summary["miou"].mean for method, summary in found.summaries.items()}
    assert scores["truth"] == scores[REAL] > 0.6
    assert scores[REAL] > scores["3 px off"] > scores["8 px off"] > scores["empty"]
    assert set(found.per_class(REAL)) == {"Background", "Liver", "Lung", "Fat"}
    assert found.confusions[REAL].sum() == len(store.split("test")[0].z_mm) * 64 * 64
    assert "| real image (ceiling) |" in found.table()


def test_labels_as_source_serve_as_well(segmenter, cohort, tmp_path):
    config = PrepareConfig(source="LABELS", target="CT", size=64, test=("P2",))
    other = prepare(cohort, tmp_path / "store", config)
    assert miou_of({}, segmenter, other, device="cpu").summaries[REAL]["miou"].mean > 0.6


def test_a_finished_run_is_loaded_and_another_store_refused(segmenter, store, run, cohort, tmp_path):
    again = train_segmenter(store, run, SMALL, QUICK)
    for name, value in segmenter.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    config = PrepareConfig(source="PET", target="CT", also=("LABELS",), size=32, test=("P2",))
    with pytest.raises(CheckpointError, match="another store"):
        train_segmenter(prepare(cohort, tmp_path / "store", config), run, SMALL, QUICK)


def test_methods_that_see_neighbouring_planes_are_scored(segmenter, store, target):
    middle = {"knows": lambda source: target(source[:, 1:2])}
    found = miou_of(middle, segmenter, store, context=3)
    assert found.summaries["knows"] == found.summaries[REAL]


def test_it_is_no_translator(segmenter, run):
    with pytest.raises(CheckpointError, match="a segmenter reads images"):
        load_system(run)


def test_a_store_without_labels_is_refused(cohort, segmenter, tmp_path):
    plain = prepare(cohort, tmp_path / "plain", PrepareConfig(source="PET", target="CT", size=32, test=0.0))
    target = PrepareConfig(source="CT", target="LABELS", size=32, test=0.0)
    for store in (plain, prepare(cohort, tmp_path / "target", target)):
        with pytest.raises(InputError, match="label map"):
            train_segmenter(store)
        with pytest.raises(InputError, match="label map"):
            miou_of({}, segmenter, store, "train")


def test_balance_lets_a_class_of_few_pixels_count():
    """Two classes, 1 pixel of 256 of the second; the network says "first" with certainty: the balanced half objects."""
    numbers = torch.zeros(1, 1, 16, 16)
    numbers[..., 0, 0] = 1
    batch = Batch(torch.zeros(1, 1, 16, 16), DEFAULT_WINDOWS["LABELS"].encode(numbers))
    segmenter = Segmenter(replace(SMALL, classes=2, balance=0.25))
    segmenter.network.forward = lambda image: torch.tensor([4.0, 0.0])[None, :, None, None].expand(1, 2, 16, 16)
    ((name, terms),) = segmenter.phases(batch, 0)
    right, wrong = torch.tensor([-4.0, 4.0]).exp().log1p()  # log(1 + e^∓4): the loss of a pixel of each class
    assert name == "network"
    assert terms["plain"].item() == pytest.approx(0.75 * float((255 * right + wrong) / 256), rel=1e-5)
    assert terms["balanced"].item() == pytest.approx(0.25 * float((right + wrong) / 2), rel=1e-5)


def test_translate_gives_class_numbers_as_a_store_encodes_them(segmenter, store):
    image = next(PairedSlices(store, "test").in_order(4)).target
    with torch.no_grad():
        encoded = segmenter.translate(image)
        assert torch.equal(class_numbers(encoded)[:, 0].long(), segmenter.segment(image))
    assert encoded.abs().max() <= 1
    assert set(segmenter.segment(image).unique().tolist()) <= {0, LUNG, LIVER, FAT}


def test_its_features_tell_organs_apart_and_are_not_called_fid(segmenter, store):
    real = torch.cat([batch.target for batch in PairedSlices(store, "train").in_order()])
    features = SegmenterFeatures(segmenter, "CT", level=2)
    no_lungs = torch.where(real < -0.5, torch.where(real > -0.99, 0.05, real), real)
    same, worse = (frechet(fake, real, features) for fake in (real.flip(0), no_lungs))
    assert same.name == "Fréchet distance (course features: CT segmenter, level 2)"
    assert same.features == 32
    assert worse.value > 10 * max(same.value, 1e-3)
