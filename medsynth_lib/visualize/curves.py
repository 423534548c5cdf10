"""Loss curves: a pure figure, and the one that grows in a notebook while training runs."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from medsynth_lib.training.trainer import Progress

#: Okabe and Ito's palette: eight colours that colour-blind readers tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")


def loss_curves(history: list[tuple[int, dict[str, float]]], title: str = "") -> Figure:
    """Each term over steps, one panel per phase; the terms carry their weights, as they are what is summed."""
    phases = list(dict.fromkeys(name.split("/")[0] for _, losses in history for name in losses))
    figure, axes = plt.subplots(
        1, max(1, len(phases)), figsize=(4.2 * max(1, len(phases)), 2.6), squeeze=False, layout="constrained"
    )
    for axis, phase in zip(axes[0], phases, strict=True):
        names = list(dict.fromkeys(name for _, losses in history for name in losses if name.startswith(f"{phase}/")))
        for colour, name in zip(COLOURS, names, strict=False):
            points = [(step, losses[name]) for step, losses in history if name in losses]
            axis.plot(*zip(*points, strict=True), color=colour, label=name.split("/")[1])
        axis.set(xlabel="step", ylabel="weighted loss", title=phase, ylim=(0, None))
        axis.legend(frameon=False, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    plt.close(figure)
    return figure


class LiveCurves:
    """Trainer callback for a notebook: redraws the loss curves in place every ``every`` steps."""

    def __init__(self, every: int = 100):
        from IPython.display import display

        self.every, self.history = every, []
        self.handle = display(display_id=True)

    def __call__(self, progress: Progress) -> None:
        self.history.append((progress.step, progress.losses))
        if progress.step % self.every == 0 or progress.step == progress.steps:
            title = f"step {progress.step} of {progress.steps}, {progress.images_per_second:.0f} images/s"
            self.handle.update(loss_curves(self.history, title))
