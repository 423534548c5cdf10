"""From finished runs to what comes with the lessons: bands, time and memory, reference figures, the trained model."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medsynth_lib.course.expected import Expected, finished_runs, measure, read_expected, write_expected
from medsynth_lib.course.lessons import select_lessons
from medsynth_lib.course.objectives_table import duration, fill, memory
from medsynth_lib.course.places import EXPECTED, MODEL, NOTEBOOKS, bands_file, expected_folder
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import MedSynthError

MAX_FIGURE_BYTES = 300_000
#: The profile whose figures and model come with a lesson.
SHOWN = "lesson"


def keep_expected(
    folders: Sequence[str | Path],
    profile: str = SHOWN,
    wanted: Sequence[str] = (),
    notebooks: str | Path | None = None,
) -> dict[str, Any]:
    """Measure the finished runs in ``folders`` and keep what they gave beside the lessons.

    Writes ``expected.json``, the table in each lesson's objectives and, in the ``lesson`` profile, the figures that its
    text shows and the model of its first seed. Lessons that were not run stay as they are.

    Returns:
        stem -> ``seeds``, ``judged`` (numbers with a band), ``shown`` (without), ``notes`` (what could not be kept).

    Raises:
        MedSynthError: see ``finished_runs`` and ``measure``; nothing is written then.
    """
    notebooks = Path(notebooks or NOTEBOOKS)
    lessons = select_lessons(wanted, notebooks)
    runs = {stem: found for stem, found in finished_runs(map(Path, folders), profile).items() if stem in lessons}
    if not runs:
        raise MedSynthError("no finished run of these lessons", where=folders, rule=", ".join(lessons))
    course, today = read_expected(bands_file(notebooks)), datetime.date.today()
    measured = {stem: measure(found, today) for stem, found in runs.items()}
    for stem, one in measured.items():
        course.setdefault(stem, {})[profile] = one
    write_expected(bands_file(notebooks), course)
    return {
        stem: _summary(one, _keep_beside(lessons[stem], runs[stem][0], profile, one)) for stem, one in measured.items()
    }


def _summary(one: Expected, notes: list[str]) -> dict[str, Any]:
    judged = [name for name, band in one.metrics.items() if band.low is not None]
    return {"seeds": one.seeds, "judged": judged, "shown": sorted(one.metrics.keys() - judged), "notes": notes}


def summary_text(kept: Mapping[str, Mapping[str, Any]]) -> str:
    """What ``keep_expected`` returned, for a reader."""
    lines = []
    for stem, one in kept.items():
        seeds = ", ".join(map(str, one["seeds"]))
        lines.append(f"{stem}: seeds {seeds}; {len(one['judged'])} numbers with a band, {len(one['shown'])} without")
        lines += [f"    {note}" for note in one["notes"]]
    return "\n".join(lines)


def _keep_beside(lesson: Path, run: Mapping[str, Any], profile: str, measured: Expected) -> list[str]:
    """Table, figures and model of ``lesson``; a note on each that could not be kept."""
    notes = [] if fill_objectives(lesson, profile, measured) else ["no table of profiles in its objectives"]
    if profile != SHOWN:
        return notes
    folder = expected_folder(lesson.stem, lesson.parent)
    made = run["record"]["figures"]
    for name in shown_figures(lesson):
        if name in made:
            keep_figure(run["folder"] / name, folder / name)
        else:
            notes.append(f"{name} is shown, but the run makes no figure of this name")
    if model := run["record"]["model"]:
        keep_model(run["folder"] / model, folder / MODEL)
    else:
        notes.append("its record names no model: none is kept")
    return notes


def fill_objectives(lesson: Path, profile: str, measured: Expected) -> bool:
    """Write time and memory of ``profile`` into the objectives of the notebook ``lesson``; ``False``: no table."""
    import nbformat

    time = f"{duration(measured.seconds)} on {measured.hardware}"
    notebook = nbformat.read(lesson, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and re.match(r"objectives(-|$)", cell.get("id", "")):
            filled = fill(cell.source, profile, time, memory(measured.peak_mib))
            if filled is not None:
                if filled != cell.source:
                    cell.source = filled
                    with atomic_path(lesson) as path:
                        nbformat.write(notebook, path)
                return True
    return False


def shown_figures(lesson: Path) -> list[str]:
    """Names of the pictures of ``expected/<stem>`` that the text of the notebook ``lesson`` shows."""
    import nbformat

    text = "\n".join(cell.source for cell in nbformat.read(lesson, as_version=4).cells if cell.cell_type == "markdown")
    return sorted(set(re.findall(rf"\b{EXPECTED}/{re.escape(lesson.stem)}/([\w.-]+\.png)\b", text)))


def keep_figure(source: Path, target: Path) -> None:
    """Copy a PNG; one of more than ``MAX_FIGURE_BYTES`` is made smaller until it is not."""
    content, scale = source.read_bytes(), 1.0
    while len(content) > MAX_FIGURE_BYTES:
        scale *= 0.85
        content = _scaled(source, scale)
    with atomic_path(target) as path:
        path.write_bytes(content)


def _scaled(picture: Path, scale: float) -> bytes:
    from matplotlib.image import imread, imsave
    from skimage.transform import rescale

    png = io.BytesIO()
    smaller = rescale(imread(picture)[..., :3], scale, channel_axis=-1, anti_aliasing=True)
    imsave(png, smaller.clip(0, 1), format="png")
    return png.getvalue()


def keep_model(run: Path, target: Path) -> None:
    """Export the model of ``run``, rounded to 8 bits, in place of the one at ``target``."""
    from medsynth_lib.training.export import export

    with atomic_path(target, replace_folder=True) as folder:
        export(run, folder, compact=True)
