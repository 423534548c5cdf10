"""Scores of a system beside the baselines, per patient and in physical units."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import torch
from torch import Tensor

from medsynth_lib.data.datasets import PairedSlices
from medsynth_lib.data.slices import SliceStore
from medsynth_lib.errors import InputError
from medsynth_lib.metrics.report import METRICS, Record, Summary, evaluate_images, slice_records, summarise, table
from medsynth_lib.systems.baselines import Identity, LookUpTable, MeanImage
from medsynth_lib.training.amp import choose_device

Translate = Callable[[Tensor], Tensor]
BASELINES = (Identity.name, MeanImage.name, LookUpTable.name)


@dataclass(frozen=True)
class Evaluation:
    """Every method's score on every slice of a split.

    ``records`` maps a method to one record per slice. ``about`` says what the figures were computed on.
    """

    records: Mapping[str, list[Record]]
    unit: str
    about: Mapping[str, object]

    @cached_property
    def summaries(self) -> dict[str, dict[str, Summary]]:
        """Method → metric → mean ± sd over patients."""
        return {method: summarise(records) for method, records in self.records.items()}

    def table(self, metrics: tuple[str, ...] = ("psnr", "ssim", "mae", "psnr_body", "ssim_body", "mae_body")) -> str:
        """A Markdown table of these metrics, headed by what it was computed on."""
        rows = {
            method: {name: one for name, one in summaries.items() if name in metrics}
            for method, summaries in self.summaries.items()
        }
        about = ", ".join(f"{key} {value}" for key, value in self.about.items())
        return f"{about}\n\n{table(rows, unit=self.unit)}"

    def margins(self, method: str) -> dict[str, float]:
        """How far ``method`` is ahead of the best baseline: PSNR (dB), SSIM, MAE (unit; positive is better), those of
        them that were computed.

        Raises:
            InputError: scored without baselines.
        """
        bars = [summaries for name, summaries in self.summaries.items() if name in BASELINES]
        if not bars:
            raise InputError("no baseline was scored", where="margins", fix="evaluate(..., with_baselines=True)")
        ahead, mine = {}, self.summaries[method]
        for metric in ("psnr", "ssim", "mae"):
            if metric in mine:
                sign = -1 if metric == "mae" else 1
                ahead[metric] = sign * mine[metric].mean - max(sign * one[metric].mean for one in bars)
        return ahead

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        summaries = {
            method: {name: asdict(one) for name, one in found.items()} for method, found in self.summaries.items()
        }
        return {"about": dict(self.about), "unit": self.unit, "summaries": summaries}


def baselines(store: SliceStore) -> dict[str, Translate]:
    """Identity, mean image and look-up table, the latter two fitted on the training patients of ``store``.

    Of a source with neighbouring planes they see the slice itself, the middle channel.
    """
    train = PairedSlices(store, "train")
    found = (Identity(), MeanImage(train.in_order()), LookUpTable(train.in_order()))
    return {one.name: lambda source, one=one: one.translate(_middle(source)) for one in found}


def _middle(source: Tensor) -> Tensor:
    return source[:, source.shape[1] // 2, None]


@torch.no_grad()
def evaluate(
    methods: Mapping[str, Translate],
    store: SliceStore,
    split: str = "test",
    device: torch.device | str = "auto",
    *,
    with_baselines: bool = True,
    metrics: Collection[str] = METRICS,
    stride: int = 1,
    context: int = 1,
) -> Evaluation:
    """Score every method, and the baselines, on every slice of ``split``, whole slice and inside the body.

    ``context`` is the number of planes that the methods are shown (``System.context``).
    With ``stride`` above 1, on one slice of each patient in ``stride``, evenly spaced: for a look while training.

    Images are decoded to physical units through each patient's target window, whose width is the ``data_range``; the
    real image is clipped to that window, as the network never saw beyond it.
    """
    device = choose_device(str(device))
    methods = {**methods, **(baselines(store) if with_baselines else {})}
    data = PairedSlices(store, split, context=context)
    records: dict[str, list[Record]] = {method: [] for method in methods}
    for patient in data.patients:
        window = patient.windows[data.target]
        for batch in data.in_order(patient=patient, stride=stride):
            target = window.decode(batch.target)
            for method, translate in methods.items():
                fake = translate(batch.source.to(device)).float().cpu().clamp(-1, 1)
                scores = evaluate_images(
                    window.decode(fake), target, batch.body, data_range=window.range, metrics=metrics
                )
                records[method] += slice_records(scores, [patient.key] * len(batch))
    windows = {patient.windows[data.target] for patient in data.patients}
    about = {
        "data": "phantom" if store.synthetic else "real scans",
        "task": f"{data.source}→{data.target}",
        "split": split,
        "patients": len(data.patients),
        "slices": sum(len(range(patient.start, patient.stop, stride)) for patient in data.patients),
        "size": store.size,
        "data_range": "per patient" if len(windows) > 1 else f"{windows.pop().range:g} {window.unit}",
    }
    return Evaluation(records, window.unit, about)
