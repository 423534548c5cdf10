"""Curves of a training run: losses and scores as pure figures, and losses that grow in a notebook meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from IPython.display import HTML, display
from matplotlib.figure import Figure

from medsynth_lib.metrics.report import BODY_SUFFIX, heading
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


def metric_curves(lines: Sequence[Mapping[str, object]], metrics: Sequence[str] = (), title: str = "") -> Figure:
    """Scores over steps, one panel per metric, a line per split: what ``training.log.MetricFile`` wrote.

    ``metrics`` are names as in the file; by default all of the whole slice, none of the body. 001, figures 3 to 7.
    """
    splits = [name for name, scores in (lines[0] if lines else {}).items() if isinstance(scores, Mapping)]
    found = dict.fromkeys(name for line in lines for split in splits for name in line[split])
    shown = list(metrics) or [name for name in found if not name.endswith(BODY_SUFFIX)]
    columns = min(3, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure, axes = plt.subplots(rows, columns, figsize=(3.4 * columns, 2.4 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, name in zip(axes.flat, shown, strict=False):
        for colour, split in zip(COLOURS, splits, strict=False):
            points = [(line["step"], line[split][name]) for line in lines if name in line[split]]
            axis.plot(*zip(*points, strict=True), color=colour, label=split, marker=".")
        axis.set(xlabel="step", ylabel=heading(name, lines[0]["unit"]))
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
