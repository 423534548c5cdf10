"""An experiment's one table, as Markdown, CSV and a figure, beside the paper's numbers."""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.metrics.report import Summary, heading
from medsynth_lib.training.experiments.grid import Cell
from medsynth_lib.training.experiments.runner import Outcome

#: What ``heading`` does not know: figures of papers, and scores.
HEADINGS = {
    "fid": "FID", "lpips": "LPIPS", "miou": "mIoU", "miou_of_real_images": "mIoU of real images",
    "course_frechet": "course Fréchet distance", "ssim_003": "SSIM as 003 computes it",
    "outside_mae_hu": "MAE where no agent shows [HU]", "enhanced_mae_hu": "MAE where agent shows [HU]",
    "enhanced_error_hu": "error where agent shows [HU]", "vessels_mae_hu": "MAE in the vessels [HU]",
    "vessels_error_hu": "error in the vessels [HU]",
}  # fmt: skip
MARGINS = ("psnr", "ssim", "mae")
#: Okabe and Ito's blue, orange and green: told apart by colour-blind readers.
_MEAN, _PAPER, _BASELINE = "#0072b2", "#d55e00", "#009e73"


@dataclass(frozen=True)
class Row:
    """One line of the table: a cell, or a baseline on a task (``cell`` is ``None``).

    ``values`` maps a metric or score to one value per seed, ``margins`` a metric to how far each seed was ahead of the
    best baseline.
    """

    label: str
    task: str
    unit: str
    seeds: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    margins: Mapping[str, tuple[float, ...]]
    cell: Cell | None = None

    @property
    def paper(self) -> Mapping[str, float]:
        return self.cell.paper if self.cell else {}


def write_report(outcome: Outcome) -> str:
    """Write ``table.md``, ``table.csv``, ``cells.csv`` and ``figure.png`` beside the cells; returns the Markdown.

    ``table.csv`` has the table at full precision, ``cells.csv`` every number of every ``cell.json``.

    Raises:
        StorageError: the disk refused.
    """
    rows = table_rows(outcome)
    figure, alt = b"", ""
    if any(row.cell for row in rows):
        figure, alt = figure_png(outcome.experiment.title, rows), figure_alt(outcome.experiment.title, rows)
    text = markdown(outcome, rows, alt)
    files = {
        "table.md": text.encode(),
        "table.csv": table_csv(rows).encode(),
        "cells.csv": cells_csv(outcome.results).encode(),
        "figure.png": figure,
    }
    for name, content in files.items():
        if content:
            with atomic_path(outcome.folder / name) as path:
                path.write_bytes(content)
    return text


def table_rows(outcome: Outcome) -> list[Row]:
    """The cells that have a result, in the experiment's order, then the baselines of each task."""
    rows = []
    for cell in outcome.experiment.cells:
        results = [one for one in outcome.results if one["key"] == cell.key]
        if results:
            rows.append(_cell_row(cell, results))
    tasks: dict[str, dict] = {}
    for one in outcome.results:
        tasks.setdefault(one["data"]["task"], one)
    for task, one in tasks.items():
        for method, found in one["summaries"].items():
            if method != one["system"]:
                values = {name: (_number(found[name]["mean"]),) for name in _shown(one, found)}
                label = method if len(tasks) == 1 else f"{method}, {task}"
                rows.append(Row(label, task, one["unit"], (), values, {}))
    return rows


def _cell_row(cell: Cell, results: list[dict]) -> Row:
    first, system = results[0], results[0]["system"]
    values = {
        name: tuple(_number(one["summaries"][system][name]["mean"]) for one in results)
        for name in _shown(first, first["summaries"][system])
    }
    values |= {name: tuple(_number(one["scores"].get(name)) for one in results) for name in first["scores"]}
    margins = {name: tuple(_number(one["margins"][name]) for one in results) for name in MARGINS}
    seeds = tuple(one["seed"] for one in results)
    return Row(cell.label, first["data"]["task"], first["unit"], seeds, values, margins, cell)


def _shown(result: Mapping, found: Iterable[str]) -> list[str]:
    """The metrics that the experiment reports, in its order; MS-SSIM with fewer scales goes by its own name."""
    return [name for wanted in result["metrics"] for name in found if name == wanted or _fewer_scales(name, wanted)]


def _fewer_scales(name: str, wanted: str) -> bool:
    return wanted == "ms_ssim" and re.fullmatch(r"ms_ssim_\d_scales", name) is not None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def mean_and_sd(values: Sequence[float]) -> Summary:
    """Mean and sample sd over seeds."""
    sd = statistics.stdev(values) if len(values) > 1 else math.nan
    return Summary(statistics.fmean(values), sd, patients=len(values), slices=0, excluded=0)


def markdown(outcome: Outcome, rows: Sequence[Row], alt: str) -> str:
    """The table with what it was computed on, what the paper's was, and what failed."""
    experiment = outcome.experiment
    parts = [f"# {experiment.title}", experiment.question, f"Stands beside: {experiment.stands_beside}."]
    if rows:
        parts += [_table(rows), _how_to_read(rows, outcome.results), *_data(outcome.results)]
    if experiment.paper_data and any(row.paper for row in rows):
        parts.append(f"**The paper's numbers are of other data.** {experiment.paper_data}")
    if alt:
        parts.append(f"![{alt}](figure.png)")
    if outcome.failed:
        parts.append("**Failed**, and not in the table:")
        parts.append("\n".join(f"- {cell}: {message.splitlines()[0]}" for cell, message in outcome.failed.items()))
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Row]) -> str:
    tasks = len({(row.task, row.unit) for row in rows}) > 1
    unit = "unit" if tasks else rows[0].unit
    metrics = list(dict.fromkeys(name for row in rows for name in row.values))
    published = list(dict.fromkeys(name for row in rows for name in row.paper))
    header = ["", *(["task", "unit"] if tasks else []), "seeds"]
    header += [_heading(name, unit) for name in metrics] + [f"Δ {_heading(name, unit)}" for name in MARGINS]
    header += ["paper's row"] * bool(published) + [f"paper: {_heading(name, 'its unit')}" for name in published]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for row in rows:
        cells = [row.label, *([row.task, row.unit] if tasks else []), str(len(row.seeds) or "–")]
        cells += [_shown_value(row.values.get(name)) for name in metrics]
        cells += [_shown_value(row.margins.get(name)) for name in MARGINS]
        if published:
            cells.append(row.cell.paper_row or "–" if row.cell else "–")
            cells += [f"{row.paper[name]:g}" if name in row.paper else "–" for name in published]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _shown_value(values: Sequence[float] | None) -> str:
    return "–" if not values else str(mean_and_sd(values))


def _heading(name: str, unit: str) -> str:
    return HEADINGS.get(name) or heading(name, unit)


def _how_to_read(rows: Sequence[Row], results: Sequence[dict]) -> str:
    numbers = sorted({seed for row in rows for seed in row.seeds})
    seeds = ", ".join(map(str, numbers))
    over = f"of one training seed ({seeds}): no sd"
    if len(numbers) > 1:
        over = f"then mean over training seeds {seeds}; *± is the sample sd over these seeds*, not over patients"
    fitted = ", and are fitted on pairs of the training patients even where the system is given none"
    unpaired = "" if all(one["paired"] for one in results) else fitted
    return (
        f"Each value: mean over slices of a patient, mean over patients, {over}. "
        f"Δ: ahead of the best baseline (positive is better, for MAE too). Baselines have no seed{unpaired}."
    )


def _data(results: Sequence[dict]) -> list[str]:
    """One paragraph per task and recipe: data, patients, split, size, steps, device."""
    found: dict[str, None] = {}
    for one in results:
        data, training = one["data"], one["training"]
        splits = "; ".join(
            f"{name}: {n['patients']} patients, {n['slices']} slices" for name, n in data["splits"].items()
        )
        note = "" if training["steps"] == one["profile_steps"] else f" instead of the profile's {one['profile_steps']}"
        pairs = "paired" if one["paired"] else "unpaired"
        found[
            f"**{data['data'].capitalize()}**, {data['task']}, {splits}; {data['size']} × {data['size']}, data_range "
            f"{data['data_range']}; {one['system']}, profile {one['profile']}, {training['steps']} steps{note}, batch "
            f"{training['batch_size']}, {pairs} training data, AMP {one['amp']}; {one['device']}, torch "
            f"{one['versions']['torch']}, MedSynth {one['versions']['medsynth']}."
        ] = None
    return list(found)


def table_csv(rows: Sequence[Row]) -> str:
    """One line per row and metric, at full precision."""
    header = ["row", "task", "unit", "metric", "mean", "sd_over_seeds", "seeds", "margin", "paper", "paper_row"]
    lines = []
    for row in rows:
        for name in dict.fromkeys([*row.values, *row.paper]):
            values = row.values.get(name)
            summary = mean_and_sd(values) if values else None
            margin = statistics.fmean(row.margins[name]) if name in row.margins else ""
            found = [summary.mean, summary.sd, len(row.seeds)] if summary else ["", "", 0]
            published = [row.paper.get(name, ""), row.cell.paper_row if row.cell else ""]
            lines.append([row.label, row.task, row.unit, name, *found, margin, *published])
    return _csv([header, *lines])


def cells_csv(results: Sequence[dict]) -> str:
    """Every summary and score of every ``cell.json``, one per line."""
    lines: list[list[object]] = [["cell", "seed", "method", "metric", "mean", "sd_over_patients", "patients", "slices"]]
    for one in results:
        for method, found in one["summaries"].items():
            lines += [
                [one["key"], one["seed"], method, name, of["mean"], of["sd"], of["patients"], of["slices"]]
                for name, of in found.items()
            ]
        lines += [[one["key"], one["seed"], one["system"], name, of, "", "", ""] for name, of in one["scores"].items()]
    return _csv(lines)


def _csv(lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def figure_alt(title: str, rows: Sequence[Row]) -> str:
    """What the figure shows, in words: the best cell and the best baseline; of several tasks, the cells' margins."""
    cells = [row for row in rows if row.cell]
    lead = f"{title}: PSNR, SSIM and MAE of {len(cells)} cells as dots, one small dot per seed. "
    if len({row.task for row in cells}) > 1:
        margins = (f"{row.label} {mean_and_sd(row.margins['psnr']).mean:+.2f} dB" for row in cells)
        return f"{lead}PSNR beside the best baseline of each task: {', '.join(margins)}."
    best = max(cells, key=lambda row: mean_and_sd(row.values["psnr"]).mean)
    baseline = max((row for row in rows if not row.cell), key=lambda row: row.values["psnr"][0])
    return (
        f"{lead}Highest PSNR: {best.label}, {mean_and_sd(best.values['psnr']).mean:.2f} dB; best baseline: "
        f"{baseline.label}, {baseline.values['psnr'][0]:.2f} dB."
    )


def figure_png(title: str, rows: Sequence[Row]) -> bytes:
    """One panel per metric: each cell's seeds and mean, its best baseline as a bar, the paper's number as a diamond."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    cells = [row for row in rows if row.cell]
    figure = Figure(figsize=(10, 1.3 + 0.36 * len(cells)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(MARGINS), sharey=True)
    for axis, name in zip(axes, MARGINS, strict=True):
        _panel(axis, name, cells)
    axes[0].set_yticks(range(len(cells)), [row.label for row in cells])
    axes[0].invert_yaxis()
    marks = [("o", _MEAN, "mean of seeds"), ("|", _BASELINE, "best baseline"), ("D", _PAPER, "paper, on other data")]
    handles = [
        Line2D(
            [], [], color=colour, marker=mark, linestyle="", fillstyle="none" if mark == "D" else "full", label=label
        )
        for mark, colour, label in (marks if any(row.paper for row in cells) else marks[:2])
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(title)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    return png.getvalue()


def _panel(axis, name: str, cells: Sequence[Row]) -> None:
    units = {row.unit for row in cells}
    for place, row in enumerate(cells):
        values = row.values[name]
        mean = mean_and_sd(values).mean
        baseline = mean + (1 if name == "mae" else -1) * statistics.fmean(row.margins[name])
        axis.plot(values, [place] * len(values), ".", color=_MEAN, alpha=0.4)
        axis.plot(mean, place, "o", color=_MEAN)
        axis.plot(baseline, place, "|", color=_BASELINE, markersize=14)
        if name in row.paper and name != "mae":  # a paper's MAE is in grey values of its own
            axis.plot(row.paper[name], place, "D", color=_PAPER, fillstyle="none")
    axis.set_xlabel(_heading(name, units.pop() if len(units) == 1 else "each its unit"))
    axis.spines[["top", "right"]].set_visible(False)
