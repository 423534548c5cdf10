"""One batch ahead, in a thread that leaves the cores to the training."""

import threading

import pytest
import torch

from medsynth_lib.training.prefetch import prefetch


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_every_step_in_order_and_none_more():
    loaded = []
    assert list(prefetch(lambda step: loaded.append(step) or step, range(3, 9))) == [3, 4, 5, 6, 7, 8]
    assert loaded == [3, 4, 5, 6, 7, 8]
    assert list(prefetch(lambda step: step, range(5, 5))) == []


def test_the_next_one_is_made_while_the_current_one_is_used():
    made = [threading.Event() for _ in range(3)]
    for step in prefetch(lambda step: made[step].set() or step, range(3)):
        assert made[min(step + 1, 2)].wait(5)


def test_the_loading_thread_computes_alone_and_the_training_does_not():
    loading = list(prefetch(lambda step: (threading.get_ident(), torch.get_num_threads()), range(3)))
    assert {ident for ident, _ in loading} != {threading.get_ident()}
    assert {threads for _, threads in loading} == {1}
    assert torch.get_num_threads() == 2


def test_a_thread_born_during_the_training_has_all_the_threads():
    seen = []
    for _ in prefetch(lambda step: step, range(2)):
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert seen == [2, 2]


def test_what_loading_raises_reaches_the_training():
    def load(step):
        if step == 1:
            raise OSError("gone")
        return step

    with pytest.raises(OSError, match="gone"):
        list(prefetch(load, range(3)))
