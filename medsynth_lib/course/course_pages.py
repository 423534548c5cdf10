"""What the site and the decks share: their lessons with what is known of each, and the folder they are built in."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import nbformat

from medsynth_lib.course.lessons import select_lessons
from medsynth_lib.course.markdown_html import plain_text
from medsynth_lib.course.page_check import page_faults
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.errors import InputError, MedSynthError

PAGES = Path(__file__).parent / "pages"
#: https://www.npmjs.com/package/@fontsource/stix-two-math, 5.3.0; its licence lies beside it.
FONT, FONT_LICENCE = "STIXTwoMath.woff2", "STIXTwoMath-OFL.txt"
#: In the head of every index page that we made.
OURS = '<meta name="generator" content="MedSynth">'


@dataclass(frozen=True)
class PageSource:
    """A lesson to make pages of: the executed notebook where there is a complete run, else the one in ``folder``.

    ``record`` is what the run left (``Lesson.record``); empty without a run.
    """

    stem: str
    notebook: Any
    folder: Path
    record: dict[str, Any]
    outdated: bool = False

    @property
    def title(self) -> str:
        return heading(self.notebook.cells[0].source) or self.stem

    def run_line(self) -> str:
        """One sentence on the run that is shown."""
        if not self.record:
            return "Not executed here: code without its results."
        record, old = self.record, " by an earlier version of this lesson" if self.outdated else ""
        where = "a GPU" if record["device"] == "cuda" else "a CPU"
        minutes, gib = record["seconds"] / 60, record["peak_mib"] / 1024
        time = f"{minutes:.0f} minutes" if minutes >= 2 else f"{record['seconds']:.0f} seconds"
        return (
            f"Executed{old} in the {record['profile']} profile, seed {record['seed']}: {time} on {where}, "
            f"{gib:.1f} GiB of memory."
        )


def page_sources(stems: tuple[str, ...], notebooks: str | Path | None, runs: str | Path | None) -> list[PageSource]:
    """The lessons ``stems`` (empty: all), each from its run in ``runs/<stem>`` where that came to its end.

    Raises:
        MedSynthError: an unknown lesson, no such folder, or no run in ``runs`` at all.
    """
    sources = [_page_source(path, runs) for path in select_lessons(stems, notebooks).values()]
    if runs is not None and not any(source.record for source in sources):
        fix = "medsynth lessons run --out FOLDER makes them; name that folder with --runs"
        raise InputError("no run of these lessons there", where=runs, fix=fix)
    return sources


def _page_source(path: Path, runs: str | Path | None) -> PageSource:
    stored = nbformat.read(path, 4)
    executed, record = (Path(runs or "", path.stem, name) for name in (path.name, "record.json"))
    if runs is None or not (executed.is_file() and record.is_file()):
        return PageSource(path.stem, stored, path.parent, {})
    notebook = nbformat.read(executed, 4)
    outdated = _written(notebook) != _written(stored)
    return PageSource(path.stem, notebook, path.parent, json.loads(record.read_text(encoding="utf-8")), outdated)


def _written(notebook: Any) -> list[str]:
    """What the author wrote, without what papermill put in."""
    return [cell.source for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]


def heading(text: str) -> str:
    """The first heading of ``text`` (Markdown) as plain words; empty without one."""
    found = [line for line in text.splitlines() if line.startswith("#")]
    return plain_text(found[0].lstrip("# ")) if found else ""


def filled(template: Path, **values: str) -> str:
    """``template`` with each ``$name`` replaced."""
    return Template(template.read_text(encoding="utf-8")).substitute(values)


def maths_css(font: str) -> str:
    """The style of formulas and code; ``font`` is the address of the font of formulas."""
    return filled(PAGES / "maths.css", font=font)


def embedded_font() -> str:
    return "data:font/woff2;base64," + base64.b64encode((PAGES / FONT).read_bytes()).decode()


@contextlib.contextmanager
def built_folder(out: str | Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``out``, replacing an earlier build, once every page in it is faultless.

    Raises:
        MedSynthError: ``out`` holds something else than an earlier build, or a page has a fault.
        StorageError: see ``atomic_path``.
    """
    out = Path(out).absolute()
    index = out / "index.html"
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or _is_ours(index))):
        raise MedSynthError("this is no folder of pages made before", where=out, fix="name a new or an empty folder")
    with atomic_path(out, replace_folder=True) as folder:
        folder.mkdir()
        yield folder
        if faults := [fault for page in sorted(folder.rglob("*.html")) for fault in page_faults(page)]:
            raise MedSynthError("a page that would not work", seen="\n         ".join(faults[:10]))


def _is_ours(index: Path) -> bool:
    return index.is_file() and OURS in index.read_text(encoding="utf-8", errors="replace")


def copy_expected(source: PageSource, folder: Path) -> None:
    """The pictures that the text of a lesson shows, at the same place beside its page."""
    pictures = source.folder / "expected" / source.stem
    if pictures.is_dir():
        shutil.copytree(pictures, folder / "expected" / source.stem, ignore=lambda _, names: _no_picture(names))


def _no_picture(names: list[str]) -> list[str]:
    return [name for name in names if Path(name).suffix not in (".png", ".jpg", ".svg")]
