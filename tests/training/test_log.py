"""What training leaves for a reader: losses and scores as lines, and TensorBoard scalars and pictures."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medsynth_lib.data.datasets import PairedSlices
from medsynth_lib.data.slices import INDEX, SliceStore
from medsynth_lib.errors import TrainingError
from medsynth_lib.systems.baselines import Identity
from medsynth_lib.training.bench import noise_store
from medsynth_lib.training.log import LossFile, MetricFile, ProgressBar, TensorBoard, read_lines
from medsynth_lib.training.run import train_run
from medsynth_lib.training.state import local_state, shared_state
from medsynth_lib.training.trainer import Progress
from tests.systems import contract
from tests.systems.contract import make_system, make_trainer


def progress(step, loss, trainer=None):
    return Progress(step, 10, {"generator/l1": loss}, 12.5, trainer)


def test_a_resumed_run_drops_the_lines_it_repeats_and_a_line_cut_short(tmp_path):
    path = tmp_path / "losses.jsonl"
    file = LossFile(path)
    for step in (2, 4, 6):
        file(progress(step, float(step)))
    with open(path, "a") as cut:
        cut.write('{"step": 8, "los')
    again = LossFile(path, first_step=4)
    again(progress(6, 60.0))
    assert [(line["step"], line["losses"]["generator/l1"]) for line in read_lines(path)] == [
        (2, 2.0),
        (4, 4.0),
        (6, 60.0),
    ]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_tensorboard_holds_the_losses_and_a_strip_of_pictures(tmp_path):
    data = PairedSlices(noise_store(tmp_path, 32, slices=8))
    trainer = SimpleNamespace(data=data, device=torch.device("cpu"), inference_system=Identity)
    board = TensorBoard(tmp_path / "board", images_every=5)
    for step in (5, 10):
        board(progress(step, step / 2, trainer))
    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("generator/l1")] == [(5, 2.5), (10, 5.0)]
    (tag,) = events.Tags()["images"]
    pictures = events.Images(tag)
    assert [picture.step for picture in pictures] == [5, 10]
    assert (pictures[0].height, pictures[0].width) == (32, 4 * 3 * 32)  # four strips side by side


def test_the_strip_is_source_synthetic_real_from_left_to_right(tmp_path):
    data = PairedSlices(noise_store(tmp_path, 32, slices=8))
    trainer = SimpleNamespace(data=data, device=torch.device("cpu"), inference_system=Identity)
    strip = TensorBoard(tmp_path / "board")._strip(progress(1, 0.0, trainer))
    batch = next(data.in_order(4))
    expected = np.concatenate([batch.source, batch.source, batch.target], axis=3) / 2 + 0.5
    np.testing.assert_allclose(strip.numpy(), expected, atol=1e-6)


def test_the_bar_shows_each_phases_sum(capsys):
    bar = ProgressBar()
    bar(Progress(10, 10, {"generator/l1": 1.0, "generator/ssim": 2.0, "discriminator/real": 0.25}, 12.5, None))
    shown = capsys.readouterr().err
    assert "generator=3.00" in shown
    assert "discriminator=0.25" in shown
    assert "10/10" in shown


@pytest.fixture(scope="module")
def two_patients(tmp_path_factory) -> SliceStore:
    """Noise slices of one patient to train on and one to test on."""
    folder = tmp_path_factory.mktemp("store")
    noise_store(folder, contract.SIZE, slices=8)
    index = json.loads((folder / INDEX).read_text())
    (patient,) = index["patients"]
    halves = [("train", 0, 5), ("test", 5, 8)]
    index["patients"] = [
        {**patient, "key": split, "split": split, "start": start, "stop": stop, "z_mm": patient["z_mm"][start:stop]}
        for split, start, stop in halves
    ]
    (folder / INDEX).write_text(json.dumps(index))
    return SliceStore.open(folder)


def metric_file(store: SliceStore, path, every=2, **given) -> MetricFile:
    return MetricFile(store, path, every, metrics=("mae", "mse"), slices=2, **given)


@pytest.mark.parametrize("name", ["pix2pix", "unet_cascade"])  # with and without random numbers in a step
def test_looking_changes_nothing_of_the_training(name, two_patients, tmp_path):
    """Bit for bit: weights, averages, optimizers, random numbers, pools."""
    ends = []
    for looks in ((), (metric_file(two_patients, tmp_path / "metrics.jsonl", every=1),)):
        trainer = make_trainer(make_system(name), steps=3, data=PairedSlices(two_patients), callbacks=looks)
        trainer.train()
        ends.append({**shared_state(trainer), **local_state(trainer)})
    assert len(read_lines(tmp_path / "metrics.jsonl")) == 3
    differing = [key for key in ends[0] if not contract.equal(ends[0][key], ends[1][key])]
    assert not differing


def test_scores_are_those_of_the_slices_looked_at(two_patients, tmp_path):
    """Five training slices, about two wanted: the first, third and fifth. Three test slices: all, as one in 1.5 is."""
    file = metric_file(two_patients, tmp_path / "metrics.jsonl")
    trainer = SimpleNamespace(device=torch.device("cpu"), inference_system=lambda: NamedIdentity)
    file(Progress(10, 10, {}, 1.0, trainer))
    (line,) = read_lines(tmp_path / "metrics.jsonl")
    assert (line["step"], line["unit"]) == (10, "HU")
    for split, chosen in (("train", [0, 2, 4]), ("test", [5, 6, 7])):
        source = two_patients["PET"][chosen].astype(float).clip(0, 5) / 5 * 2000 - 1000
        error = source - two_patients["CT"][chosen].astype(float).clip(-1000, 1000)
        assert line[split]["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
        assert line[split]["mse"] == pytest.approx((error**2).mean(), rel=1e-5)


class NamedIdentity:
    name, context, translate = "identity", 1, staticmethod(lambda source: source)


def test_it_looks_at_the_first_report_after_each_multiple_and_at_the_end(two_patients, tmp_path):
    file = metric_file(two_patients, tmp_path / "metrics.jsonl", every=4)
    trainer = SimpleNamespace(device=torch.device("cpu"), inference_system=lambda: NamedIdentity)
    for step in (3, 6, 9, 10, 11):
        file(Progress(step, 11, {}, 1.0, trainer))
    assert [line["step"] for line in read_lines(file.file.path)] == [6, 9, 11]


def test_what_translates_nothing_has_no_scores(tmp_path):
    with pytest.raises(TrainingError, match="toy_gan translates no slices"):
        train_run("toy_gan", None, tmp_path, "smoke", metrics_every=1)


def test_a_resumed_run_has_the_same_curves(two_patients, tmp_path):
    def make(run, first_step=0, crash_at=None):
        def crash(progress):
            if progress.step == crash_at:
                raise contract.Interrupted

        looks = (metric_file(two_patients, run / "metrics.jsonl", every=1, first_step=first_step), crash)
        data = PairedSlices(two_patients)
        return make_trainer(make_system("pix2pix"), run=run, data=data, callbacks=looks, checkpoint_every=3)

    make(tmp_path / "whole").train()
    with pytest.raises(contract.Interrupted):
        make(tmp_path / "parts", crash_at=4).train()
    make(tmp_path / "parts", first_step=3).train()
    whole, parts = (read_lines(tmp_path / run / "metrics.jsonl") for run in ("whole", "parts"))
    assert [line["step"] for line in whole] == [1, 2, 3, 4, 5, 6]
    assert parts == whole
