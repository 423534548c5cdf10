"""The replay pool: what comes out went in, half of it later, and the pool can be put away and taken out again."""

import pytest
import torch

from medsynth_lib.errors import CheckpointError
from medsynth_lib.systems.replay_pool import ReplayPool


def numbered(first: int, count: int) -> torch.Tensor:
    return torch.arange(first, first + count, dtype=torch.float32).reshape(-1, 1, 1, 1)


def test_no_pool_returns_what_it_was_given():
    images = numbered(0, 3)
    assert ReplayPool(0).query(images) is images


def test_images_pass_through_while_the_pool_fills():
    pool = ReplayPool(4)
    assert torch.equal(pool.query(numbered(0, 3)), numbered(0, 3))
    assert [int(image) for image in pool.images] == [0, 1, 2]


def test_half_of_the_images_come_from_earlier_and_none_is_made_up_or_shown_twice():
    torch.manual_seed(0)
    size, count = 50, 4000
    pool = ReplayPool(size)
    shown = [int(pool.query(numbered(index, 1))) for index in range(count)]
    assert len(set(shown[size:])) == count - size  # a swapped-out image is gone
    assert all(one <= index for index, one in enumerate(shown))
    old = sum(one != index for index, one in enumerate(shown[size:], size))
    # Binomial(n, 1/2): five standard deviations.
    assert abs(old - (count - size) / 2) < 5 * ((count - size) / 4) ** 0.5
    # An image leaves a pool of 50 with probability 1/100 a query: it waits 100 queries on average.
    waits = [index - one for index, one in enumerate(shown) if one != index]
    assert 80 < sum(waits) / len(waits) < 120


def test_kept_images_are_copies_without_a_graph():
    pool, images = ReplayPool(2), torch.ones(2, 1, 2, 2, requires_grad=True)
    returned = pool.query(images * 1)
    assert not returned.requires_grad
    with torch.no_grad():
        returned.zero_()
    assert all(image.eq(1).all() for image in pool.images)


def test_state_brings_back_the_same_future():
    torch.manual_seed(1)
    pool = ReplayPool(3)
    pool.query(numbered(0, 5))
    state, rng = pool.state(), torch.get_rng_state()
    expected = pool.query(numbered(5, 20))
    other = ReplayPool(3)
    other.load(state)
    torch.set_rng_state(rng)
    assert torch.equal(other.query(numbered(5, 20)), expected)


def test_a_larger_pool_than_ours_is_refused():
    with pytest.raises(CheckpointError, match="replay pool"):
        ReplayPool(2).load(list(numbered(0, 3)))
