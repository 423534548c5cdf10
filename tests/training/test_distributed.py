"""Two processes under torchrun train as one with twice the batch, stay alike, stop together and resume exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medsynth_lib.errors import CheckpointError
from tests.systems.contract import equal, make_system, make_trainer
from tests.training.distributed_worker import one_step

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Path, list[dict]]:
    """The folder of one run of two processes, and what each ended with."""
    out = tmp_path_factory.mktemp("distributed")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "tests.training.distributed_worker", str(out)]
    loopback = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **loopback}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, [torch.load(out / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_gradients_are_those_of_one_process_with_twice_the_batch(ran):
    alone, (first, second) = one_step(batch_size=4), (one["gradients"] for one in ran[1])
    assert equal(first, second)
    assert alone.keys() == first.keys()
    # Averaged in another order, float32 differs in its last bits. The generator's come after the discriminator moved by
    # a step that is the sign of its gradient, which may differ where a gradient is nearly zero.
    for network, tolerance in (("discriminator", 1e-5), ("generator", 1e-3)):
        names = [name for name in alone if name.startswith(network)]
        largest = max(alone[name].abs().max() for name in names)
        apart = {name: float((first[name] - alone[name]).abs().max() / largest) for name in names}
        assert max(apart.values()) < tolerance, apart


def test_both_processes_end_with_the_same_weights(ran):
    weights = [{**one["whole"]["shared"]["networks"]} for one in ran[1]]
    for name in ("generator", "discriminator"):
        first, second = ({k: v for k, v in one[name].items() if is_weight(k)} for one in weights)
        assert equal(first, second)


def is_weight(key: str) -> bool:
    """Running batch-norm statistics belong to each process' own batches, and nothing that is kept uses them."""
    return not key.endswith(("running_mean", "running_var"))


def test_each_process_has_its_own_random_numbers_and_pool(ran):
    first, second = (one["whole"]["local"] for one in ran[1])
    assert not equal(first["rng"], second["rng"])
    assert not equal(first["pools"], second["pools"])


@pytest.mark.parametrize("how", ["resumed", "continued"])
def test_resuming_two_processes_is_exact(ran, how):
    """After a crash, and after Ctrl-C in one of them."""
    for rank, one in enumerate(ran[1]):
        whole, again = one["whole"], one[how]
        assert equal(whole["local"], again["local"])
        for key, value in whole["shared"].items():
            if key == "networks" and rank == 1:
                value, again["shared"][key] = (
                    {name: {k: v for k, v in net.items() if is_weight(k)} for name, net in networks.items()}
                    for networks in (value, again["shared"][key])
                )
            assert equal(value, again["shared"][key]), f"process {rank}: {key}"


def test_interrupting_one_process_stops_both_after_the_same_step(ran):
    assert [one["stopped at"] for one in ran[1]] == [4, 4]


def test_the_model_is_written_once_and_the_checkpoint_holds_both(ran):
    assert sorted(path.name for path in (ran[0] / "whole").iterdir()) == ["checkpoint-00000006", "model.safetensors"]
    kept = sorted(path.name for path in (ran[0] / "whole" / "checkpoint-00000006").iterdir())
    assert kept == ["rank0.pt", "rank1.pt", "shared.pt"]


def test_another_number_of_processes_is_refused(ran):
    with pytest.raises(CheckpointError, match=r"(?s)another world_size.*2 in the checkpoint.*seen: +1"):
        make_trainer(make_system("pix2pix"), run=ran[0] / "whole").train()
