"""From scores of slices to the numbers a paper prints: a mean per patient, then mean ± sd over patients.

Slices of one patient resemble each other: an sd over slices says how slices vary, not how sure we are of a method.
Patients are what is independent, and what n counts.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from medsynth_lib.errors import InputError
from medsynth_lib.metrics import fidelity

#: The record entry that says whose slice it is; it groups records and appears in no result.
PATIENT = "patient"
#: Added to a metric's name where it was taken inside the body mask only.
BODY_SUFFIX = "_body"
_LABELS = {
    "mae": "MAE",
    "mse": "MSE",
    "rmse": "RMSE",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "vif": "VIF",
}

#: All fidelity metrics, in the order of a table.
METRICS = tuple(_LABELS)

#: Metrics of ``overlap`` and ``lesion``, whose records are one per patient.
_LABELS |= {
    "miou": "mIoU",
    "dice": "Dice",
    "suvmax_error": "SUVmax error",
    "suvmax_mae": "SUVmax absolute error",
}

Record = Mapping[str, float | str]


@dataclass(frozen=True)
class Summary:
    """One metric over a cohort: ``mean`` and sample ``sd`` (n − 1) of ``patients`` means taken over ``slices`` slices.

    ``excluded`` slices had no finite value: NaN (no body in the slice, a constant target) or infinity (the PSNR of two
    identical slices). ``sd`` is NaN for one patient, and ``mean`` too for none.
    """

    mean: float
    sd: float
    patients: int
    slices: int
    excluded: int

    def __str__(self) -> str:
        if not self.sd > 1e-6 * abs(self.mean):  # NaN, or rounding
            short = f"{self.mean:.4g}"  # 0.25 is that; 30.3987 is 30.40, not 30.4, as its neighbours have four digits
            exact = float(short) == self.mean
            return (short if exact else f"{self.mean:#.4g}".rstrip(".")) if self.patients else "–"
        decimals = max(0, 1 - math.floor(math.log10(self.sd)))  # two significant digits of the sd
        return f"{self.mean:.{decimals}f} ± {self.sd:.{decimals}f}"


def evaluate_images(
    fake: Tensor,
    target: Tensor,
    body: Tensor | None = None,
    *,
    data_range: float,
    metrics: Collection[str] = METRICS,
) -> dict[str, Tensor]:
    """The fidelity ``metrics`` of every image: of the whole slice and, with the suffix ``_body``, inside the body mask.

    A metric that the images are too small for is left out, never approximated: VIF below 41 pixels, and ``ms_ssim``
    below 161, where MS-SSIM with as many scales as fit takes its place under its own name, as ``ms_ssim_4_scales``.

    :param fake: ``(B, C, H, W)`` in physical units, clipped as ``target`` is.
    :param target: the same shape and unit.
    :param body: ``(B, 1, H, W)`` bool.
    :param data_range: see ``fidelity``.
    :param metrics: some of ``METRICS``; MS-SSIM and VIF take most of the time.
    :returns: metric name → ``(B,)`` float64.
    :raises InputError: as the metrics do.
    """
    scores = _scores(fake, target, None, data_range, metrics)
    if body is not None:
        inside = _scores(fake, target, body, data_range, metrics)
        scores.update({name + BODY_SUFFIX: values for name, values in inside.items()})
    return scores


def _scores(
    fake: Tensor, target: Tensor, mask: Tensor | None, data_range: float, metrics: Collection[str]
) -> dict[str, Tensor]:
    side, scores = min(target.shape[-2:]), {}
    for name in METRICS:
        if name not in metrics or (name == "vif" and side < fidelity.VIF_MINIMUM_SIZE):
            continue
        options = {} if name in ("mae", "mse", "rmse") else {"data_range": data_range}
        if name == "ms_ssim":
            scales = max((n for n in range(2, 6) if side >= fidelity.ms_ssim_minimum_size(n)), default=None)
            if scales is None:
                continue
            options["scales"] = scales
        label = f"ms_ssim_{options['scales']}_scales" if options.get("scales", 5) != 5 else name
        scores[label] = getattr(fidelity, name)(fake, target, mask=mask, **options)
    return scores


def slice_records(scores: Mapping[str, Tensor], patients: Sequence[str]) -> list[dict[str, float | str]]:
    """What ``evaluate_images`` gave for a batch, as one record per slice: ``{"patient": …, metric: value, …}``.

    :raises InputError: if there is not one patient per slice.
    """
    columns = {name: values.tolist() for name, values in scores.items()}
    if any(len(values) != len(patients) for values in columns.values()):
        seen = f"{len(patients)} patients, {sorted({len(values) for values in columns.values()})} slices"
        raise InputError("Scores and patients do not match", rule="one patient per slice", seen=seen)
    return [
        {PATIENT: patient, **{name: values[index] for name, values in columns.items()}}
        for index, patient in enumerate(patients)
    ]


def summarise(records: Iterable[Record]) -> dict[str, Summary]:
    """The mean of each patient's slices, then mean ± sd over patients: every patient weighs the same.

    Values that are not finite are left out and counted (see ``Summary``); nothing else is.

    :param records: one per slice, as ``slice_records`` makes them.
    :returns: metric name → ``Summary``, in the order in which the metrics first appear.
    :raises InputError: if a record names no patient.
    """
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if PATIENT not in record:
            raise InputError("A slice's record names no patient", rule=f"an entry {PATIENT!r}", seen=sorted(record))
        for name, value in record.items():
            if name != PATIENT:
                values[name][str(record[PATIENT])].append(float(value))
    return {name: _summary(by_patient.values()) for name, by_patient in values.items()}


def _summary(patients: Iterable[list[float]]) -> Summary:
    total, finite = 0, []
    for scores in patients:
        total += len(scores)
        finite.append([score for score in scores if math.isfinite(score)])
    means = [statistics.fmean(scores) for scores in finite if scores]
    slices = sum(map(len, finite))
    mean = statistics.fmean(means) if means else math.nan
    sd = statistics.stdev(means) if len(means) > 1 else math.nan
    return Summary(mean=mean, sd=sd, patients=len(means), slices=slices, excluded=total - slices)


def table(rows: Mapping[str, Mapping[str, Summary]], *, unit: str = "", per_slice: bool = True) -> str:
    """A Markdown table, one row per method ("pix2pix", "identity", …) and one column per metric, as "mean ± sd".

    :param rows: method → what ``summarise`` gave.
    :param unit: the images' unit, put beside MAE and RMSE (squared for MSE).
    :param per_slice: whether the records were one per slice, or one per patient (overlap, lesions): for the footnote.
    """
    names = _metric_names(rows)
    lines = ["| | " + " | ".join(heading(name, unit) for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for method, summaries in rows.items():
        cells = [str(summaries[name]) if name in summaries else "–" for name in names]
        lines.append("| " + " | ".join([method, *cells]) + " |")
    return "\n".join([*lines, "", _footnote(rows, per_slice)])


def _metric_names(rows: Mapping[str, Mapping[str, Summary]]) -> list[str]:
    return list(dict.fromkeys(name for summaries in rows.values() for name in summaries))


def heading(name: str, unit: str = "") -> str:
    """How a table or an axis calls a metric of ``evaluate_images`` on images in ``unit``: "MAE [HU] [body]".

    >>> heading("ms_ssim_4_scales"), heading("mse_body", "SUVbw")
    ('MS-SSIM, 4 scales', 'MSE [SUVbw²] [body]')
    """
    metric = name.removesuffix(BODY_SUFFIX)
    units = dict.fromkeys(("mae", "rmse", "suvmax_error", "suvmax_mae"), unit)
    units |= {"mse": unit and f"{unit}²", "psnr": "dB"}
    label = _LABELS.get(metric, metric.replace("ms_ssim_", "MS-SSIM, ").replace("_", " "))
    notes = [units.get(metric, ""), "body" if name != metric else ""]
    return label + "".join(f" [{note}]" for note in notes if note)


def _footnote(rows: Mapping[str, Mapping[str, Summary]], per_slice: bool) -> str:
    summaries = [one for row in rows.values() for one in row.values()]
    patients, slices, excluded = (
        _span(getattr(one, field) for one in summaries) for field in ("patients", "slices", "excluded")
    )
    if not per_slice:
        return f"Mean ± sd over n = {patients} patients; left out per cell, as there is no value: {excluded}."
    return (
        f"Mean ± sd over patients of each patient's mean over slices; n = {patients} patients, {slices} slices; "
        f"slices left out per cell, as their value is not finite: {excluded}."
    )


def _span(counts: Iterable[int]) -> str:
    found = sorted(set(counts))
    return "0" if not found else str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"
