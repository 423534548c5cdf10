"""What the pictures of the game draw is what the equations say; looking changes nothing of a training."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from medsynth_lib.data.toy import RingOfGaussians
from medsynth_lib.errors import MedSynthError
from medsynth_lib.systems.gan import ToyGAN, ToyGANConfig
from medsynth_lib.training.config import TrainConfig
from medsynth_lib.training.trainer import Trainer
from medsynth_lib.visualize import game, latent


@pytest.mark.parametrize("mean", [0.0, 1.5, 4.0])
def test_both_bars_of_the_game_are_equal_and_reach_log_4_where_the_densities_agree(mean):
    heights = [bar.get_height() for bar in game.two_densities(mean, 1.0).axes[1].patches]
    assert heights[0] == pytest.approx(heights[1], abs=1e-6)
    assert (heights[0] == pytest.approx(-np.log(4), abs=1e-6)) == (mean == 0)


def test_slopes_drawn_are_those_of_the_losses_drawn():
    losses, slopes = (
        [line for line in axis.lines if len(line.get_xdata()) > 2] for axis in game.generator_slopes().axes
    )
    for loss, slope in zip(losses, slopes, strict=True):
        numeric = np.abs(np.gradient(loss.get_ydata(), loss.get_xdata()))[1:-1]
        np.testing.assert_allclose(slope.get_ydata()[1:-1], numeric, atol=1e-3)


def test_the_belief_map_has_x_to_the_right_and_y_upwards():
    right = game.belief_map(lambda points: 20 * points[:, 0, 0, 0], side=5)
    upper = game.belief_map(lambda points: 20 * points[:, 1, 0, 0], side=5)
    assert right[:, 0].max() < 0.01 < 0.99 < right[:, -1].min()
    assert upper[0].max() < 0.01 < 0.99 < upper[-1].min()


def test_watching_points_changes_nothing_of_the_training():
    ring, config = RingOfGaussians(), TrainConfig(steps=4, batch_size=8, amp="off", device="cpu", log_every=1)
    weights = []
    for callbacks in ([], [game.LivePoints(ring.centres, every=2, count=5)]):
        torch.manual_seed(0)
        weights.append(Trainer(ToyGAN(ToyGANConfig(width=8)), ring, config, callbacks=callbacks).train().state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert [title for title, _ in callbacks[0].frames] == ["step 2", "step 4"]


def test_the_way_between_two_noises_has_their_length():
    first, second = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    second = second * first.norm() / second.norm()
    for position in (0.0, 0.3, 0.5, 1.0):
        assert latent.between(first, second, position).norm() == pytest.approx(float(first.norm()), rel=1e-5)
    torch.testing.assert_close(latent.between(first, second, 0.0), first)
    torch.testing.assert_close(latent.between(first, second, 1.0), second)
    torch.testing.assert_close(latent.between(first, first, 0.5), first)
    with pytest.raises(MedSynthError, match="0 to 1"):
        latent.between(first, second, 1.2)


def test_the_walk_draws_both_ends_and_the_stretched_middle():
    noise = torch.eye(4)[:2]
    drawn = []

    def draw(vectors):
        drawn.append(vectors)
        return np.zeros((len(vectors), 8, 8))

    latent.latent_walk(draw, noise, 0, 1, 0.5, stretch=2.0)
    torch.testing.assert_close(drawn[0][[0, 2]], noise)
    torch.testing.assert_close(drawn[0][1], 2 * torch.tensor([0.5, 0.5, 0, 0]).sqrt())


def test_no_figure_stays_open():
    plt.close("all")
    game.two_densities(1.0, 1.0)
    game.generator_slopes()
    game.points_row(RingOfGaussians().centres, [("a", torch.zeros(3, 2)), ("b", torch.zeros(3, 2))])
    assert plt.get_fignums() == []
