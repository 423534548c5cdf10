"""The loop: its learning rate, how it stops, and what it tells on the way."""

import signal
import threading

import pytest
import torch
from torch.nn.utils import parametrize
from torch.optim.lr_scheduler import LambdaLR

from medsynth_lib.errors import TrainingError
from medsynth_lib.systems.pix2pix import Pix2Pix, Pix2PixConfig
from medsynth_lib.training import clock
from medsynth_lib.training import trainer as trainer_module
from medsynth_lib.training.checkpoint import MODEL, load_checkpoint, load_model
from medsynth_lib.training.config import TrainConfig, learning_rate_factor
from medsynth_lib.training.state import shared_state
from tests.systems.contract import NoiseSlices, equal, make_system, make_trainer


def small(**changes) -> Pix2Pix:
    torch.manual_seed(0)
    sizes = {"generator_channels": 2, "depth": 6, "discriminator_channels": 2, "discriminator_layers": 1}
    return Pix2Pix(Pix2PixConfig(**{**sizes, **changes}))


# Learning rate


@pytest.mark.parametrize(("constant", "decaying"), [(100, 100), (5, 3), (0, 4), (7, 0)])
def test_learning_rate_is_that_of_pix2pix_when_a_step_is_an_epoch(constant, decaying):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = LambdaLR(optimizer, lambda epoch: 1.0 - max(0, epoch + 1 - constant) / float(decaying + 1))
    steps = constant + decaying
    for step in range(steps):
        assert learning_rate_factor(step, steps, constant / steps) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_every_optimizer_follows_the_learning_rate_also_after_resuming(tmp_path):
    seen = {}

    def look(progress):
        rates = {optimizer.param_groups[0]["lr"] for optimizer in progress.trainer.optimizers.values()}
        seen[progress.step] = rates
        if progress.step == 4 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise KeyError("stopped")

    with pytest.raises(KeyError):
        make_trainer(small(), run=tmp_path / "run", steps=8, checkpoint_every=3, callbacks=[look]).train()
    make_trainer(small(), run=tmp_path / "run", steps=8, checkpoint_every=3, callbacks=[look]).train()
    assert seen == {step: {2e-4 * learning_rate_factor(step - 1, 8, 0.5)} for step in range(1, 9)}


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("batch_size", 0), ("decay_from", 1.5), ("ema", 1.0), ("checkpoint_every", -1)]
)
def test_impossible_settings_are_named(name, value):
    with pytest.raises(TrainingError, match=rf"(?s)where: +{name}.*seen: +{value}"):
        TrainConfig(**{name: value})


# Losses that are not finite


class OneBadBatch(NoiseSlices):
    def __init__(self, step: int):
        super().__init__()
        self.step = step

    def batch(self, step, batch_size, *, rank=0, world_size=1):
        batch = super().batch(step, batch_size, rank=rank, world_size=world_size)
        if step == self.step:
            batch.target[1, 0, 3, 3] = torch.nan
        return batch


@pytest.mark.parametrize(("weight", "term"), [(1.0, "discriminator/real"), (0.0, "generator/l1")])
def test_a_loss_that_is_not_finite_stops_with_term_step_and_batch(tmp_path, weight, term):
    trainer = make_trainer(
        small(adversarial_weight=weight), run=tmp_path, data=OneBadBatch(3), checkpoint_every=2, log_every=100
    )
    with pytest.raises(TrainingError) as stopped:
        trainer.train()
    assert stopped.value.where == f"step 3, term {term}, batch: slice 3.0, slice 3.1"
    shared, _ = load_checkpoint(tmp_path)
    assert shared["step"] == 2
    assert all(value.isfinite().all() for value in shared["networks"]["generator"].values())


def test_training_goes_on_after_the_bad_slice_is_mended(tmp_path):
    """Also in the same trainer, as a notebook's cell run again would."""
    whole = make_trainer(small(), steps=5)
    whole.train()
    trainer = make_trainer(small(), run=tmp_path, data=OneBadBatch(3), checkpoint_every=2, steps=5)
    with pytest.raises(TrainingError):
        trainer.train()
    trainer.data = NoiseSlices()
    trainer.train()
    assert equal(list(trainer.system.parameters()), list(whole.system.parameters()))


# Interruption


def test_interrupt_waits_for_the_step_and_leaves_a_checkpoint_from_which_training_goes_on_exactly(tmp_path):
    whole = make_trainer(make_system("pix2pix"), run=tmp_path / "whole", checkpoint_every=0)
    whole.train()

    def interrupt(progress):
        if progress.step == 2:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    stopped = make_trainer(make_system("pix2pix"), run=tmp_path / "run", checkpoint_every=0, callbacks=[interrupt])
    stopped.train()
    assert stopped.step == 3  # the flag is looked at after each step
    assert load_checkpoint(tmp_path / "run")[0]["step"] == 3
    assert signal.getsignal(signal.SIGINT) is before

    resumed = make_trainer(make_system("pix2pix"), run=tmp_path / "run", checkpoint_every=0)
    resumed.train()
    assert equal(shared_state(resumed), shared_state(whole))


def test_a_second_interrupt_does_not_wait(tmp_path):
    def interrupt(progress):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        make_trainer(small(), callbacks=[interrupt]).train()
    assert signal.getsignal(signal.SIGINT) is before


def test_training_works_outside_the_main_thread():
    trainer = make_trainer(small(), steps=2)
    thread = threading.Thread(target=trainer.train)
    thread.start()
    thread.join()
    assert trainer.step == 2


# What is told and kept


def test_callbacks_hear_the_mean_of_each_term_since_the_last_time():
    heard, logged = [], []
    trainer = make_trainer(small(), steps=7, log_every=3, callbacks=[heard.append])
    step = trainer.training_step
    trainer.training_step = lambda batch: logged.append(step(batch)) or logged[-1]
    trainer.train()
    assert [one.step for one in heard] == [3, 6, 7]
    for progress, part in zip(heard, (logged[0:3], logged[3:6], logged[6:7]), strict=True):
        expected = {term: sum(float(one[term]) for one in part) / len(part) for term in part[0]}
        assert progress.losses == pytest.approx(expected)
        assert (progress.steps, progress.trainer) == (7, trainer)
        assert progress.images_per_second > 0


def test_looking_at_the_average_on_the_way_changes_nothing():
    ends = []
    for callbacks in ([], [lambda progress: progress.trainer.inference_system()]):
        trainer = make_trainer(make_system("pix2pix"), callbacks=callbacks)
        ends.append([trainer.train().state_dict(), trainer.system.state_dict()])
    assert equal(*ends)


def test_the_returned_system_holds_the_trained_judge_too():
    trainer = make_trainer(small(), steps=3)
    found = trainer.train().discriminator.state_dict()
    assert equal(found, trainer.system.discriminator.state_dict())
    assert not equal(found, small().discriminator.state_dict())


def test_spectral_norms_are_measured_on_the_weights_that_are_returned():
    trainer = make_trainer(make_system("medusis"), steps=3, ema=0.5)
    generator = trainer.train().generator
    norms = [
        float(torch.linalg.matrix_norm(module.weight.flatten(1), 2))
        for module in generator.modules()
        if parametrize.is_parametrized(module, "weight")
    ]
    assert norms == pytest.approx([1.0] * len(norms), abs=0.03)
    assert len(norms) > 3


def test_what_callbacks_take_is_not_counted_as_training(monkeypatch):
    """On a clock of ours, a step of two slices takes one second, and a callback a hundred."""
    now, rates = [0.0], []

    def callback(progress):
        rates.append(progress.images_per_second)
        now[0] += 100

    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    trainer = make_trainer(small(), steps=6, log_every=2, callbacks=[callback])
    step = trainer.training_step

    def timed(batch):
        now[0] += 1
        return step(batch)

    trainer.training_step = timed
    trainer.train()
    assert rates == [2.0, 2.0, 2.0]


class Recorded(NoiseSlices):
    def __init__(self):
        super().__init__()
        self.asked = []

    def batch(self, step, batch_size, **process):
        if process:  # batches to train on say which process asks
            self.asked.append(step)
        return super().batch(step, batch_size, **process)


def test_each_batch_is_asked_for_once_and_in_order():
    data = Recorded()
    make_trainer(small(), steps=4, data=data).train()
    assert data.asked == [0, 1, 2, 3]


def test_a_finished_run_trains_no_further_and_keeps_its_model(tmp_path):
    first = make_trainer(small(), run=tmp_path, steps=2)
    first.train()
    model = (tmp_path / MODEL).read_bytes()
    again = make_trainer(small(), run=tmp_path, steps=2)
    again.training_step = lambda batch: pytest.fail("trained")
    assert equal(again.train().state_dict(), first.inference.system.state_dict())
    assert (tmp_path / MODEL).read_bytes() == model


def test_a_run_killed_between_its_last_two_writes_still_ends_with_its_model(tmp_path, monkeypatch):
    """Whatever is written second may be missing; going on must write it."""
    whole = make_trainer(small(), run=tmp_path / "whole", steps=3)
    whole.train()
    for killed_at in ("save_model", "save_checkpoint"):
        run = tmp_path / killed_at
        with monkeypatch.context() as patch:
            patch.setattr(trainer_module, killed_at, lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                make_trainer(small(), run=run, steps=3).train()
        make_trainer(small(), run=run, steps=3).train()
        assert (run / MODEL).read_bytes() == (tmp_path / "whole" / MODEL).read_bytes()


def test_without_a_run_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_trainer(small(), steps=2, checkpoint_every=1).train()
    assert list(tmp_path.iterdir()) == []


def test_the_model_is_the_averaged_generator_with_what_is_needed_to_use_it(tmp_path):
    trainer = make_trainer(small(), run=tmp_path, steps=2)
    trainer.train()
    tensors, about = load_model(tmp_path)
    expected = {f"generator.{key}": value for key, value in trainer.inference.system.generator.state_dict().items()}
    assert equal(tensors, expected)
    assert (about["system"], about["step"]) == ("pix2pix", 2)
    assert about["config"]["depth"] == 6
