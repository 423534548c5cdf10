"""A run can be killed, starved of disk or handed a damaged checkpoint: it goes on exactly, or says why it cannot."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from medsynth_lib.errors import CheckpointError
from medsynth_lib.training.bench import noise_store
from medsynth_lib.training.checkpoint import MODEL, checkpoints, load_checkpoint, load_model, save_checkpoint
from tests.systems.contract import TINY, equal, make_system, make_trainer
from tests.training import worker

#: How often the experiment with SIGKILL is repeated per number format; ``MEDSYNTH_KILLS=5`` for five of five.
REPEATS = int(os.environ.get("MEDSYNTH_KILLS", "1"))
KILLS = 3

# A clean process that has imported torch, and _dynamo as the first optimizer does, forks: children start at once.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["medsynth_lib.training.trainer", "torch._dynamo"])


def start(target, *arguments) -> multiprocessing.process.BaseProcess:
    process = processes.Process(target=target, args=arguments)
    process.start()
    return process


def finish(process) -> None:
    process.join(120)
    assert process.exitcode == 0


# Killed


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    noise_store(folder, 64, slices=10)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(store, tmp_path_factory):
    """amp → the run folder of a process that was left alone, trained once."""
    runs: dict[str, Path] = {}

    def run(amp: str) -> Path:
        if amp not in runs:
            folder = tmp_path_factory.mktemp("uninterrupted") / amp
            finish(start(worker.train, store, folder, amp))
            runs[amp] = folder
        return runs[amp]

    return run


def step_told(run: Path) -> int:
    try:
        return int((run / "step").read_text() or 0)
    except (FileNotFoundError, ValueError):
        return 0


def train_and_kill(store: Path, run: Path, amp: str, rng: random.Random) -> int | None:
    """Start or resume a run and kill it at a random moment of a random step; returns the last step it told of, or
    ``None`` where it was over first."""
    (run / "step").unlink(missing_ok=True)
    kept = checkpoints(run)
    first = int(kept[-1].name.removeprefix("checkpoint-")) + 1 if kept else 1
    last, process = rng.randint(first, max(first, worker.STEPS - 4)), start(worker.train, store, run, amp)
    while process.is_alive() and step_told(run) < last:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 0.03))  # into the next step, or into the writing of a checkpoint
    process.kill()
    process.join()
    return step_told(run) if process.exitcode == -signal.SIGKILL else None


@pytest.mark.parametrize("repeat", range(REPEATS))
@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_killed_at_random_steps_and_resumed_ends_bit_for_bit_the_same(store, uninterrupted, tmp_path, amp, repeat):
    rng, run = random.Random(f"{amp} {repeat}"), tmp_path / "run"
    run.mkdir()
    killed = [train_and_kill(store, run, amp, rng) for _ in range(KILLS)]
    print(f"{amp}, run {repeat}: killed after steps {killed} of {worker.STEPS}")
    assert killed[0] is not None
    finish(start(worker.train, store, run, amp))
    assert equal(load_checkpoint(run), load_checkpoint(uninterrupted(amp)))
    assert (run / MODEL).read_bytes() == (uninterrupted(amp) / MODEL).read_bytes()
    assert [path.name for path in checkpoints(run)] == [f"checkpoint-{worker.STEPS:08d}"]
    assert not list(run.glob(".checkpoint*"))


def test_the_same_process_would_have_come_out_the_same(store, uninterrupted, tmp_path):
    """Nothing depends on which process trains: this one, whose random state is its own, gives the same bits."""
    torch.rand(3)
    worker.make(store, tmp_path, "off").train()
    assert equal(load_checkpoint(tmp_path), load_checkpoint(uninterrupted("off")))


# Full disk


def test_a_full_disk_is_a_storage_error_and_the_run_goes_on_later(store, uninterrupted, tmp_path):
    run, told = tmp_path / "run", tmp_path / "told"
    finish(start(worker.train_on_a_disk_that_fills_up, store, run, told))
    assert told.read_text().startswith("StorageError: could not write: File too large")
    assert str(run) in told.read_text()
    assert load_checkpoint(run)[0]["step"] == worker.EVERY
    assert sorted(path.name for path in run.iterdir()) == ["checkpoint-00000003", MODEL]
    assert load_model(run)[1]["step"] == worker.EVERY
    worker.make(store, run, "off").train()
    assert equal(load_checkpoint(run), load_checkpoint(uninterrupted("off")))


def test_a_checkpoint_that_does_not_fit_leaves_the_earlier_one(tmp_path):
    run, told = tmp_path / "run", tmp_path / "told"
    finish(start(worker.save_on_a_full_disk, run, told))
    assert told.read_text().startswith("StorageError: could not write: File too large")
    assert load_checkpoint(run) == ({"step": 1}, {})
    assert [path.name for path in run.iterdir()] == ["checkpoint-00000001"]


# Damaged, hostile, or somebody else's


def damaged(content: bytes, case: int) -> bytes:
    """Cut short, bits flipped anywhere or in the first kilobyte, or replaced."""
    rng = random.Random(case)
    changed = bytearray(content)
    if case % 4 == 0:
        return content[: rng.randrange(len(content))]
    if case % 4 == 1:
        return rng.randbytes(rng.randrange(5000))
    reach = len(content) if case % 4 == 2 else 1000
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(changed)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_damaged_checkpoint_is_told_and_never_loads_as_something_else(tmp_path):
    state = {"weights": torch.randn(40, 40), "nested": {"betas": (0.5, 0.999), "name": "x"}, "step": 7}
    save_checkpoint(tmp_path, 7, state, {"rng": torch.get_rng_state()})
    path = tmp_path / "checkpoint-00000007" / "shared.pt"
    content = path.read_bytes()
    refused = 0
    for case in range(200):
        path.write_bytes(damaged(content, case))
        try:
            shared, _ = load_checkpoint(tmp_path)
        except CheckpointError as error:
            refused += "shared.pt" in str(error.where)
        else:  # a flipped bit in a date or a name that nobody reads
            assert equal(shared, state)
    assert refused > 190


class Hostile:
    """What an attacker would put into a pickle: code that runs as it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["shared.pt", "rank0.pt"])
@pytest.mark.parametrize("write", [torch.save, lambda state, path: path.write_bytes(pickle.dumps(state))])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, name, write):
    save_checkpoint(tmp_path, 1, {"step": 1}, {})
    write({"step": Hostile(tmp_path / "ran")}, tmp_path / "checkpoint-00000001" / name)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(Hostile(tmp_path / "ran")))  # noqa: S301, shows that it is hostile
    assert (tmp_path / "ran").exists()


def test_a_missing_part_is_told(tmp_path):
    save_checkpoint(tmp_path, 1, {"step": 1}, {})
    (tmp_path / "checkpoint-00000001" / "rank0.pt").unlink()
    with pytest.raises(CheckpointError, match="incomplete"):
        load_checkpoint(tmp_path)


OTHER_CONFIG = dataclasses.replace(TINY["pix2pix"], l1_weight=55.0)


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ({"system": make_system("pix2pix", OTHER_CONFIG)}, ("another config", "l1_weight=100.0", "l1_weight=55.0")),
        ({"seed": 3}, ("another training", "seed=0", "seed=3")),
        ({"steps": 9}, ("another training", "steps=6", "steps=9")),
        ({"amp": "bf16"}, ("another training", "amp=off", "amp=bf16")),
        ({"about": {"source": "MR"}}, ("another data", "source=None", "source=MR")),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_by_what_differs(tmp_path, change, differing):
    make_trainer(make_system("pix2pix"), run=tmp_path).train()
    about = change.pop("about", {})
    trainer = make_trainer(change.pop("system", make_system("pix2pix")), run=tmp_path, **change)
    trainer.about = about
    with pytest.raises(CheckpointError) as refused:
        trainer.train()
    assert all(word in str(refused.value) for word in differing)
    assert load_checkpoint(tmp_path)[0]["step"] == 6  # and it is still there


def test_a_checkpoint_of_another_system_is_refused(tmp_path):
    make_trainer(make_system("pix2pix"), run=tmp_path).train()
    other = make_system("pix2pix")
    other.name = "another"
    with pytest.raises(CheckpointError, match=r"(?s)another system.*pix2pix in the checkpoint"):
        make_trainer(other, run=tmp_path).train()


def test_weights_that_no_longer_fit_are_told(tmp_path):
    """As after an upgrade that changed a network under the same config."""
    make_trainer(make_system("pix2pix"), run=tmp_path).train()
    changed = make_system("pix2pix")
    changed.generator.head[1] = torch.nn.ConvTranspose2d(8, 1, 6, 2, 2)
    with pytest.raises(CheckpointError, match="does not fit this version"):
        make_trainer(changed, run=tmp_path).train()


# The model file


def test_a_damaged_model_file_is_told(tmp_path):
    make_trainer(make_system("pix2pix"), run=tmp_path, steps=1).train()
    content = (tmp_path / MODEL).read_bytes()
    header = int.from_bytes(content[:8], "little")
    damages = [
        content[:-1],
        content[: header // 2],
        b"",
        np.random.default_rng(0).bytes(500),
        b"\xff" * 8 + content[8:],
    ]
    for damage in damages:
        (tmp_path / MODEL).write_bytes(damage)
        with pytest.raises(CheckpointError, match="model file cannot be read"):
            load_model(tmp_path)
    with pytest.raises(CheckpointError, match="no trained model"):
        load_model(tmp_path / "elsewhere")
