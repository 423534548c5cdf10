"""The slides of a notebook, or of a Markdown file, as HTML sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import nbformat

from medsynth_lib.course.course_pages import heading
from medsynth_lib.course.markdown_html import NO_LINKS, markdown_html
from medsynth_lib.course.notebook_html import notebook_html, static_copy

#: What a cell's slide type may be to appear; cells without one, or to be skipped, stay in the notebook.
SHOWN = ("slide", "subslide", "fragment", "notes")
_OUTPUT = re.compile(r"(?s)<img\b[^>]*>")


@dataclass(frozen=True)
class Slide:
    """One slide.

    Args:
        body: HTML; blocks side by side, so that a slide too full can go on on another one.
        label: its heading, or that of its section, in plain words.
        section: heading of the section it belongs to; written above a slide without a heading of its own.
        cell: id of the cell it comes from.
        look: ``title``, ``picture`` or nothing.
        notes: HTML for the speaker.
    """

    body: str
    label: str
    section: str = ""
    cell: str = ""
    look: str = ""
    notes: tuple[str, ...] = field(default=())

    def html(self) -> str:
        kicker = f'<p class="kicker">{escape(self.section)}</p>\n' if self.section else ""
        named = f' id="{self.cell}" data-cell="{self.cell}"' if self.cell else ""
        return (
            f'<section class="{f"slide {self.look}".strip()}"{named} aria-label="{escape(self.label, quote=True)}">\n'
            f'<div class="content">\n{kicker}{self.body}\n{"".join(self.notes)}</div>\n</section>'
        )


def notebook_slides(notebook: Any, folder: Path) -> list[Slide]:
    """A slide for each cell of type ``slide`` or ``subslide``, with the fragments and notes that follow it.

    Where the notebook was executed, each picture of the cells in between makes a slide too, and a text that ends in a
    colon is followed by what the next cell with anything to say printed.

    Args:
        folder: where the notebook lies; its pictures are put into the slides.

    Raises:
        MedSynthError: see ``markdown_html``.
    """
    slides: list[Slide] = []
    section, announces = "", False
    for cell in static_copy(notebook).cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type", "-")
        if cell.cell_type == "markdown" and kind != "notes":
            announces = kind in SHOWN and cell.source.rstrip().endswith(":")
        if kind in ("slide", "subslide") or (kind in SHOWN and not slides):
            own = heading(cell.source) if cell.cell_type == "markdown" else ""
            section = own if own and re.search(r"(?m)^##? ", cell.source) else section
            above = "" if own == section else section
            look = "" if slides else "title"
            slides.append(Slide(_cell_html(cell, folder), own or section, above, cell.id, look))
        elif kind in ("fragment", "notes"):
            slides[-1] = _extended(slides[-1], cell, kind, folder)
        elif kind != "skip" and slides and cell.cell_type == "code":
            if announces and cell.get("outputs"):
                slides[-1], announces = replace(slides[-1], body=slides[-1].body + _printed(cell)), False
            slides += [_picture(picture, section) for picture in _pictures(cell)]
    return slides


def markdown_slides(path: str | Path) -> list[Slide]:
    """The slides of a Markdown file: ``---`` alone on a line begins another one, ``Note:`` what only the speaker sees.

    Pictures are named relative to the file.
    """
    path = Path(path)
    slides = []
    for number, text in enumerate(re.split(r"(?m)^---\s*$", path.read_text(encoding="utf-8"))):
        shown, _, notes = text.partition("\nNote:")
        where = f"{path.name}, slide {number + 1}"
        body = markdown_html(shown, embed_from=path.parent, where=where)
        notes = (f'<aside class="notes">{markdown_html(notes, where=where)}</aside>\n',) if notes else ()
        slides.append(Slide(body, heading(shown), look="" if number else "title", notes=notes))
    return slides


def _cell_html(cell: Any, folder: Path) -> str:
    if cell.cell_type == "markdown":
        return markdown_html(cell.source, embed_from=folder, where=f"cell {cell.id}")
    html = notebook_html(nbformat.v4.new_notebook(cells=[cell]), NO_LINKS, embed_from=folder)
    return html.replace(f' id="{cell.id}"', "")  # the slide has it


def _extended(slide: Slide, cell: Any, kind: str, folder: Path) -> Slide:
    html = _cell_html(cell, folder)
    if kind == "notes":
        note = f'<aside class="notes" data-cell="{cell.id}">{html}</aside>\n'
        return replace(slide, notes=(*slide.notes, note))
    return replace(slide, body=f'{slide.body}\n<div class="fragment" data-cell="{cell.id}">{html}</div>')


def _printed(cell: Any) -> str:
    text = "".join("".join(one.text) for one in cell.outputs if one.output_type == "stream" and one.name == "stdout")
    return f"\n<pre>{escape(text.rstrip())}</pre>" if text else ""


def _pictures(cell: Any) -> Iterator[str]:
    for output in cell.get("outputs", []):
        yield from _OUTPUT.findall("".join(output.get("data", {}).get("text/html", "")))


def _picture(image: str, section: str) -> Slide:
    """``image`` large; its alt text below, for those in the last row too."""
    alt = re.search(r'\balt="([^"]*)"', image)
    caption = f"<figcaption>{alt[1]}</figcaption>" if alt else ""
    return Slide(f"<figure>{image}{caption}</figure>", section, section, look="picture")
