"""The course as a web site: a folder of plain pages, readable with no network, no kernel and no script."""

from __future__ import annotations

import re
import shutil
from html import escape
from pathlib import Path

from medsynth_lib.course.course_pages import (
    FONT,
    FONT_LICENCE,
    PAGES,
    PageSource,
    built_folder,
    copy_expected,
    filled,
    heading,
    maths_css,
    page_sources,
)
from medsynth_lib.course.markdown_html import Links, markdown_html
from medsynth_lib.course.notebook_html import notebook_html

GLOSSARY = "glossary.html"
_TERM = re.compile(r"<li><strong>(.+?)</strong> \(([\d, –]+)\)")


def build_site(out: str | Path, notebooks: str | Path | None = None, runs: str | Path | None = None) -> dict[str, str]:
    """Write ``out``: an index, a page for each lesson, the glossary; return stem -> what its page shows.

    Args:
        notebooks: the folder of lessons; the course's own by default. ``docs/glossary.md`` lies beside it.
        runs: what ``medsynth lessons run --out`` wrote. A lesson with a complete run is shown as executed there.

    Raises:
        MedSynthError: see ``page_sources``, ``notebook_html`` and ``built_folder``.
    """
    sources = page_sources((), notebooks, runs)
    glossary = sources[0].folder.parent / "docs" / "glossary.md"
    pages = {f"{source.stem}.ipynb": f"{source.stem}.html" for source in sources}
    if glossary.is_file():
        pages["../docs/glossary.md"] = GLOSSARY
    with built_folder(out) as folder:
        _write_assets(folder / "assets")
        _write(folder / "index.html", "MedSynth", _index(sources), pages)
        for number, source in enumerate(sources):
            copy_expected(source, folder)
            around = (sources[number - 1] if number else None, *sources[number + 1 : number + 2])
            body = _lesson(source, Links(pages, f"{source.stem}.html"), around)
            _write(folder / f"{source.stem}.html", source.title, body, pages)
        if glossary.is_file():
            _write(folder / GLOSSARY, "Glossary and notation", _glossary(glossary, Links(pages, GLOSSARY)), pages)
    return {source.stem: source.run_line() for source in sources}


def _write_assets(folder: Path) -> None:
    folder.mkdir()
    for name in (FONT, FONT_LICENCE):
        shutil.copyfile(PAGES / name, folder / name)
    style = (PAGES / "site.css").read_text(encoding="utf-8") + maths_css(FONT)
    (folder / "site.css").write_text(style, encoding="utf-8")


def _write(path: Path, title: str, body: str, pages: dict[str, str]) -> None:
    links = [("index.html", "MedSynth", ' class="home"'), ("index.html", "Lessons", "")]
    links += [(GLOSSARY, "Glossary", "")] if GLOSSARY in pages.values() else []
    navigation = "".join(f'<a{look} href="{page}">{name}</a>' for page, name, look in links)
    name = title if title == "MedSynth" else f"{title} · MedSynth"
    html = filled(PAGES / "page.html", title=escape(name), navigation=navigation, body=body)
    path.write_text(html, encoding="utf-8")


def _index(sources: list[PageSource]) -> str:
    items = "\n".join(f"<li>{_index_entry(source)}</li>" for source in sources)
    return (
        "<h1>Medical image synthesis</h1>\n<p>Make one medical image from another, and judge the result honestly: the "
        "lessons of MedSynth, to read. To run them, open the notebooks.</p>\n"
        f'<ol class="lessons">\n{items}\n</ol>'
    )


def _index_entry(source: PageSource) -> str:
    promise = source.notebook.cells[0].source.split("\n\n")[1:2]
    objectives = [cell.source for cell in source.notebook.cells if cell.get("id") == "objectives"]
    # the list of objectives alone, with lines that belong to an item
    stated = re.findall(r"(?m)^\* \*\*O\d+\*\*.*(?:\n[ \t]+\S.*)*", objectives[0] if objectives else "")
    folded = f"<details><summary>Objectives</summary>{markdown_html(chr(10).join(stated))}</details>" if stated else ""
    return (
        f'<h2><a href="{source.stem}.html">{escape(source.title)}</a></h2>\n{markdown_html("".join(promise))}\n'
        f'<p class="run">{escape(source.run_line())}</p>\n{folded}'
    )


def _lesson(source: PageSource, links: Links, around: tuple[PageSource | None, ...]) -> str:
    body = notebook_html(source.notebook, links)
    title, end, rest = body.partition("</section>")  # the first cell is the title
    about = f'<p class="run">{escape(source.run_line())}</p>'
    turn = "".join(
        f'<a href="{one.stem}.html">{escape(one.title)}</a>' if one is not None else "<span></span>" for one in around
    )
    return f'{title}{end}\n{about}\n{_contents(source)}\n{rest}\n<nav class="turn" aria-label="Lessons">{turn}</nav>'


def _contents(source: PageSource) -> str:
    """Links to the sections, folded away."""
    texts = [cell for cell in source.notebook.cells if cell.cell_type == "markdown"]
    sections = [cell for cell in texts if re.search("(?m)^## ", cell.source)]
    items = "".join(f'<li><a href="#{cell.id}">{escape(heading(cell.source))}</a></li>' for cell in sections)
    return f'<details class="contents"><summary>Contents</summary><ol>{items}</ol></details>'


def _glossary(path: Path, links: Links) -> str:
    """The glossary; each term can be linked to, and links to the lesson that introduces it."""

    def term(found: re.Match[str]) -> str:
        id = re.sub(r"[^a-z0-9]+", "-", re.sub(r"<[^>]+>", "", found[1]).lower()).strip("-")
        lessons = re.sub(r"\d\d", lambda number: _lesson_link(number[0], links), found[2])
        return f'<li id="{id}"><strong>{found[1]}</strong> ({lessons})'

    return _TERM.sub(term, markdown_html(path.read_text(encoding="utf-8"), links=links, where="glossary"))


def _lesson_link(number: str, links: Links) -> str:
    page = links.lesson(number)
    return f'<a href="{page}">{number}</a>' if page else number
