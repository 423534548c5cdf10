"""What training leaves for a reader: losses as lines, and TensorBoard scalars and pictures."""

import json
from types import SimpleNamespace

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from medsynth_lib.data.datasets import PairedSlices
from medsynth_lib.systems.baselines import Identity
from medsynth_lib.training.bench import noise_store
from medsynth_lib.training.log import LossFile, ProgressBar, TensorBoard, read_losses
from medsynth_lib.training.trainer import Progress


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
    assert [(line["step"], line["losses"]["generator/l1"]) for line in read_losses(path)] == [
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
