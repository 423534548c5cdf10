"""The GAN's game drawn: two densities and their best discriminator, what a generator's slope is, points and beliefs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from medsynth_lib.metrics.divergence import game_value, jensen_shannon, optimal_logits
from medsynth_lib.systems.gan import ToyGAN
from medsynth_lib.training.trainer import Progress

REAL, FAKE, JUDGE = "#0072b2", "#d55e00", "#000000"
#: Belief D(x): 0 (fake) is orange, ½ white, 1 (real) purple; colour-blind readers tell them apart.
BELIEF_CMAP = "PuOr"
#: Width of a cell of the line on which ``two_densities`` integrates.
CELL = 0.01
LINE = np.arange(-12, 16, CELL)


def normal_density(x: np.ndarray, mean: float, std: float) -> np.ndarray:
    """N(x; mean, std²) = exp(−(x − mean)² / 2 std²) / (std √(2π))."""
    return np.exp(-(((x - mean) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))


def two_densities(mean: float, std: float) -> Figure:
    """p = N(0, 1) and q = N(``mean``, ``std``²) with the best discriminator p / (p + q); its value V and the JSD."""
    p, q = normal_density(LINE, 0, 1), normal_density(LINE, mean, std)
    logits = optimal_logits(p, q)
    figure, (axis, bars) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained", width_ratios=(2.4, 1))
    plt.close(figure)  # the caller shows it; pyplot must not show it a second time
    axis.fill_between(LINE, p, color=REAL, alpha=0.25)
    axis.plot(LINE, p, color=REAL, label="p, real")
    axis.plot(LINE, q, "--", color=FAKE, label="q, generated")
    axis.plot(LINE, 1 / (1 + np.exp(-np.clip(logits, -50, 50))), ":", color=JUDGE, linewidth=2, label="D* = p/(p+q)")
    axis.set(xlabel="x", ylabel="density; D*", xlim=(-5, 7), ylim=(0, 1.05))
    axis.legend(frameon=False, fontsize=8)
    value, divergence = game_value(p, q, logits, CELL), jensen_shannon(p, q, CELL)
    bars.bar(["V(D*)", "−log 4\n+ 2 JSD"], [value, 2 * divergence - np.log(4)], color=[JUDGE, REAL], width=0.5)
    bars.axhline(-np.log(4), color="#666666", linewidth=1, linestyle="--")
    bars.set(ylim=(-1.5, 0.1))
    bars.set_title(f"V(D*) = {value:.3f}\nJSD = {divergence:.3f} of at most 0.693", fontsize=9)
    for one in (axis, bars):
        one.spines[["top", "right"]].set_visible(False)
    return figure


def generator_slopes() -> Figure:
    """What the generator minimises, and its slope, against the discriminator's logit of a fake: saturating or not."""
    logits = np.linspace(-8, 8, 200)
    belief = 1 / (1 + np.exp(-logits))
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
    plt.close(figure)
    curves = {
        "saturating: log(1 − σ(a))": (np.log1p(-belief), belief, "--", FAKE),
        "non-saturating: −log σ(a)": (-np.log(belief), 1 - belief, "-", REAL),
    }
    for label, (loss, slope, style, colour) in curves.items():
        axes[0].plot(logits, loss, style, color=colour, label=label)
        axes[1].plot(logits, slope, style, color=colour)
    axes[0].set(xlabel="logit a of a fake", ylabel="generator's loss")
    axes[1].set(xlabel="logit a of a fake", ylabel="size of its slope", ylim=(0, 1.05))
    axes[1].text(-7.8, 0.45, "D is sure it is fake:\nmost to learn", fontsize=8)
    axes[0].legend(frameon=False, fontsize=8)
    for axis in axes:
        axis.axvline(0, color="#bbbbbb", linewidth=1)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def belief_map(discriminator: Callable[[Tensor], Tensor], side: int = 60) -> np.ndarray:
    """D(x) = σ(logit) on a ``side`` x ``side`` grid over [-1, 1]², rows from bottom to top."""
    line = torch.linspace(-1, 1, side)
    points = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2)
    with torch.no_grad():
        return torch.sigmoid(discriminator(points[:, :, None, None])).reshape(side, side).numpy()


def points_panel(axis: Axes, centres: Tensor, samples: Tensor, belief: np.ndarray | None = None) -> None:
    """Samples ``(N, 2)`` as dots and modes as circles, over the discriminator's belief where it is given."""
    if belief is not None:
        axis.imshow(belief, extent=(-1, 1, -1, 1), origin="lower", cmap=BELIEF_CMAP, vmin=0, vmax=1, alpha=0.6)
    axis.plot(*samples.T, ".", color=JUDGE, markersize=2)
    axis.plot(*centres.T, "o", color=REAL, markerfacecolor="none", markersize=11)
    axis.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", xticks=[], yticks=[])


def points_row(
    centres: Tensor, frames: Sequence[tuple[str, Tensor]], beliefs: Sequence[np.ndarray | None] = ()
) -> Figure:
    """Panels side by side: (title, samples ``(N, 2)``), each with its belief map if ``beliefs`` has one."""
    figure, axes = plt.subplots(1, len(frames), figsize=(2.2 * len(frames), 2.5), squeeze=False, layout="constrained")
    plt.close(figure)
    beliefs = [*beliefs, *[None] * (len(frames) - len(beliefs))]
    for axis, (title, samples), belief in zip(axes[0], frames, beliefs, strict=True):
        points_panel(axis, centres, samples, belief)
        axis.set_title(title, fontsize=9)
    return figure


class LivePoints:
    """Trainer callback for a notebook: a toy GAN's points over its discriminator's belief, redrawn as it trains.

    It keeps ``frames`` and ``beliefs`` for ``points_row`` and clears itself after the last step. The same ``count``
    noise vectors each time, from a generator of their own: looking changes nothing of the training.
    """

    def __init__(self, centres: Tensor, every: int = 250, count: int = 400):
        self.centres, self.every, self.count = centres, every, count
        self.frames: list[tuple[str, Tensor]] = []
        self.beliefs: list[np.ndarray] = []
        self.handle = None

    def __call__(self, progress: Progress) -> None:
        last = progress.step == progress.steps
        if not last and progress.step % self.every:
            return
        system: ToyGAN = progress.trainer.system
        with torch.no_grad():
            self.frames.append((f"step {progress.step}", system.generate(self.count, seed=0).flatten(1).cpu()))
        device = next(system.parameters()).device
        self.beliefs.append(belief_map(lambda points: system.discriminator(points.to(device)).cpu()))
        self._show(points_row(self.centres, self.frames[-1:], self.beliefs[-1:]), last)

    def _show(self, picture: Figure, last: bool) -> None:
        shown = HTML("") if last else picture
        if self.handle is None:
            self.handle = display(shown, display_id=True)
        else:
            self.handle.update(shown)
