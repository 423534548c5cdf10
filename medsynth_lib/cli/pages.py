"""``medsynth lessons site`` and ``medsynth lessons slides``: the lessons as pages to read and to present."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from medsynth_lib.cli.app import report
from medsynth_lib.cli.lessons import lessons


@lessons.command(name="site")
def lessons_site(
    out: Path = Path("runs/site"), runs: Path | None = None, notebooks: Path | None = None, json: bool = False
) -> None:
    """Write the lessons as a web site that needs no network: open OUT/index.html.

    Args:
        out: The folder of the site; a site made there before is replaced.
        runs: What `medsynth lessons run --out` wrote: its lessons are shown with their results.
        notebooks: The folder of lessons; the course's own by default.
        json: Print JSON for another program.
    """
    from medsynth_lib.course.site import build_site

    shown = build_site(out, notebooks, runs)
    lines = [f"{stem}: {line}" for stem, line in shown.items()]
    report({"index": str(out / "index.html"), "lessons": shown}, json, lambda: "\n".join([*lines, f"{out}/index.html"]))


@lessons.command(name="slides")
def lessons_slides(
    lesson: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[LESSON …]")] = (),
    out: Path = Path("slides/build"),
    runs: Path | None = None,
    pdf: bool = True,
    notebooks: Path | None = None,
    json: bool = False,
) -> None:
    """Make a deck of slides of each lesson, and the opening one: HTML files that need no network, and PDF.

    Arrow keys, space or a presenter's buttons turn the slides; n opens the speaker's notes. PDF needs Chromium or
    Chrome.

    Args:
        lesson: Which lessons: a number (02) or a name; all of them, and the opening deck, by default.
        out: The folder of the decks; decks made there before are replaced.
        runs: What `medsynth lessons run --out` wrote: its pictures become slides.
        pdf: Also print each deck as PDF.
        notebooks: The folder of lessons; the course's own by default.
        json: Print JSON for another program.
    """
    from dataclasses import asdict

    from medsynth_lib.course.chromium import find_chromium
    from medsynth_lib.course.slides import build_slides

    missing = pdf and find_chromium() is None
    decks = build_slides(out, lesson, notebooks, runs, pdf=pdf)
    lines = [f"{deck.slides:>4} slides  {deck.name}: {deck.title}" for deck in decks]
    lines += ["no PDF: neither Chromium nor Chrome was found (Debian: apt install chromium)"] if missing else []
    report([asdict(deck) for deck in decks], json, lambda: "\n".join([*lines, f"{out}/index.html"]))
