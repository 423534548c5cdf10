"""Loss curves: a pure figure, and the one that grows in a notebook while training runs."""

from __future__ import annotations

import matplotlib.pyplot as plt
from IPython.display import HTML, display
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
    """Trainer callback for a notebook: redraws the loss curves in place every ``every`` steps.

    It clears itself after the last step: ``loss_curves(live.history)`` is the picture to keep.
    """

    def __init__(self, every: int = 100):
        self.every, self.history, self.handle = every, [], None

    def __call__(self, progress: Progress) -> None:
        self.history.append((progress.step, progress.losses))
        if progress.step == progress.steps:
            self._show(HTML(""))
        elif progress.step % self.every == 0:
            title = f"step {progress.step} of {progress.steps}, {progress.images_per_second:.0f} images/s"
            self._show(loss_curves(self.history, title))

    def _show(self, picture: object) -> None:
        if self.handle is None:
            self.handle = display(picture, display_id=True)
        else:
            self.handle.update(picture)
