"""Decks of slides: one HTML file each, with everything inside, and the same as PDF where a browser can print it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from medsynth_lib.course.chromium import find_chromium, print_pdf
from medsynth_lib.course.course_pages import OURS, built_folder, embedded_font, filled, heading, maths_css, page_sources
from medsynth_lib.course.deck import Slide, markdown_slides, notebook_slides
from medsynth_lib.errors import InputError

#: Template, theme, script and the decks that belong to no lesson; in a checkout of the course.
SLIDES = Path(__file__).parents[2] / "slides"


@dataclass(frozen=True)
class Deck:
    """One deck that was built; ``slides`` before the browser divides those that are too full."""

    name: str
    title: str
    slides: int
    pdf: bool


def build_slides(
    out: str | Path,
    stems: tuple[str, ...] = (),
    notebooks: str | Path | None = None,
    runs: str | Path | None = None,
    *,
    pdf: bool = True,
    progress: Callable[[Deck], None] = lambda deck: None,
) -> list[Deck]:
    """Write a deck for each lesson of ``stems`` into ``out``, and an index; for all lessons also those of ``slides/``.

    Args:
        stems: lessons, as ``02`` or ``02_pix2pix_pet_to_ct``; all of them where empty.
        notebooks: the folder of lessons; the course's own by default.
        runs: what ``medsynth lessons run --out`` wrote; the pictures of complete runs become slides.
        pdf: also print each deck, where a browser is found.

    Raises:
        MedSynthError: see ``page_sources``, ``notebook_slides``, ``built_folder`` and ``print_pdf``.
    """
    if not (SLIDES / "template.html").is_file():
        raise InputError("no template of slides", where=SLIDES, fix="run from a checkout of the course")
    sources = page_sources(stems, notebooks, runs)
    pdf = pdf and find_chromium() is not None
    decks = []
    with built_folder(out) as folder:
        for source in [] if stems else sorted(SLIDES.glob("[0-9]*.md")):
            title = heading(source.read_text(encoding="utf-8"))
            decks.append(_write(folder, source.stem, title, markdown_slides(source), pdf))
            progress(decks[-1])
        for source in sources:
            slides = notebook_slides(source.notebook, source.folder)
            decks.append(_write(folder, source.stem, source.title, slides, pdf))
            progress(decks[-1])
        (folder / "index.html").write_text(_index(decks), encoding="utf-8")
    return decks


def deck_html(title: str, slides: list[Slide]) -> str:
    """The whole page: theme, font, script and pictures inside."""
    return filled(
        SLIDES / "template.html",
        title=escape(f"{title} · MedSynth"),
        style=maths_css(embedded_font()) + (SLIDES / "theme.css").read_text(encoding="utf-8"),
        footer=escape(f"{title} · synthetic images, not for diagnosis", quote=True),
        slides="\n".join(slide.html() for slide in slides),
        script=(SLIDES / "deck.js").read_text(encoding="utf-8"),
    )


def _write(folder: Path, name: str, title: str, slides: list[Slide], pdf: bool) -> Deck:
    page = folder / f"{name}.html"
    page.write_text(deck_html(title, slides), encoding="utf-8")
    if pdf:
        print_pdf(page, page.with_suffix(".pdf"))
    return Deck(name, title, len(slides), pdf)


def _index(decks: list[Deck]) -> str:
    style = "<style>body { font: 18px/1.6 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; }</style>"
    items = "".join(
        f'<li><a href="{deck.name}.html">{escape(deck.title)}</a>'
        + (f' (<a href="{deck.name}.pdf">PDF</a>)' if deck.pdf else "")
        + "</li>"
        for deck in decks
    )
    keys = "Arrow keys, space or a presenter's buttons turn the slides; n opens the speaker's notes."
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Slides · MedSynth</title>{OURS}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{style}</head><body><h1>Slides</h1><ul>{items}</ul><p>{keys}</p></body></html>\n"
    )
