"""Decks: what is on them, that it fits, that nothing is lost or loaded; each rule is shown to catch a planted fault."""

import re
import shutil
from html.parser import HTMLParser

import nbformat
import pytest
from nbformat.v4 import new_notebook

from medsynth_lib.cli import main
from medsynth_lib.course.chromium import print_pdf
from medsynth_lib.course.course_pages import heading, page_sources
from medsynth_lib.course.deck import SHOWN, markdown_slides, notebook_slides
from medsynth_lib.course.lessons import find_lessons
from medsynth_lib.course.page_check import page_faults
from medsynth_lib.course.slides import SLIDES, build_slides, deck_html
from medsynth_lib.errors import MedSynthError
from tests.course.deck_browser import measure, needs_chromium
from tests.course.page_factory import cell, write_course, write_run

OPENING = SLIDES / "00_opening.md"
SMALLEST_FONT = 15  # pixels of the 720 that a slide is high
DECKS = [OPENING.stem, *find_lessons()]


class BlockText(HTMLParser):
    """Text of a deck as ``measure`` reads it, but before any script has run."""

    def __init__(self, html):
        super().__init__()
        self.inside, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        looks = dict(attrs).get("class") or ""
        if tag not in ("img", "br", "hr", "meta", "link", "mspace"):
            skip = tag in ("h1", "h2", "h3", "style", "script", "title") or looks in ("kicker", "notes")
            self.inside.append(bool(skip or (self.inside and self.inside[-1])))

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if self.inside and tag not in ("img", "br", "hr", "meta", "link", "mspace"):
            self.inside.pop()

    def handle_data(self, data):
        if self.inside and not self.inside[-1]:
            self.text += re.sub(r"\s+", "", data)


def deck(name: str) -> str:
    """The deck ``name`` of the course as HTML."""
    if name == OPENING.stem:
        return deck_html(heading(OPENING.read_text(encoding="utf-8")), markdown_slides(OPENING))
    (source,) = page_sources((name,), None, None)
    return deck_html(source.title, notebook_slides(source.notebook, source.folder))


def deck_of(*cells) -> str:
    return deck_html("Test", notebook_slides(new_notebook(cells=list(cells)), SLIDES))


@pytest.fixture
def course(tmp_path):
    return write_course(tmp_path / "course")


# --- what is on the slides -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", find_lessons())
def test_every_slide_cell_of_the_course_appears_once_and_in_order(stem):
    cells = nbformat.read(find_lessons()[stem], 4).cells
    wanted = [one.id for one in cells if one.metadata.get("slideshow", {}).get("slide_type") in SHOWN]
    assert re.findall(r'data-cell="([^"]+)"', deck(stem)) == wanted
    assert wanted


def test_slides_subslides_fragments_and_notes_appear_and_nothing_else(course):
    html = deck_html("Tiny", notebook_slides(nbformat.read(course / "07_tiny.ipynb", 4), course))
    shown = ["title", "objectives", "theory", "theory-more", "theory-step", "theory-say", "expected", "build"]
    assert sorted(re.findall(r'data-cell="([^"]+)"', html)) == sorted(shown)
    assert html.count('<section class="slide') == 6
    assert re.search(r'<div class="fragment" data-cell="theory-step"><p>Then this', html)
    assert re.search(r'<aside class="notes" data-cell="theory-say"><p>Ask them first', html)
    assert '<p class="kicker">Theory</p>' in html  # above the sub-slide, which has no heading
    assert '<span class="nf">nothing</span>' in html  # a slide of code
    assert "SEED" not in html
    assert "figure()" not in html


def test_pictures_of_a_run_become_slides_with_their_words(course, tmp_path):
    (source,) = page_sources((), course, write_run(course, tmp_path / "runs"))
    slides = notebook_slides(source.notebook, source.folder)
    captions = [re.search(r"<figcaption>(.*?)</figcaption>", one.body)[1] for one in slides if one.look == "picture"]
    assert captions == ["Losses fall over the steps", "A slice in the lung window"]
    assert [one.section for one in slides if one.look == "picture"] == ["Theory", "Theory"]


@pytest.mark.parametrize(("ending", "shown"), [(" See it:", True), (" See it.", False)])
def test_a_slide_that_announces_something_shows_what_was_printed(tmp_path, ending, shown):
    text = nbformat.v4.new_markdown_cell("# Haar" + ending, metadata={"slideshow": {"slide_type": "slide"}})
    outputs = [[], ["energy < 1\n"], ["not announced\n"]]
    streams = [[nbformat.v4.new_output("stream", name="stdout", text=one) for one in some] for some in outputs]
    code = [nbformat.v4.new_code_cell("print()", outputs=some) for some in streams]
    (slide,) = notebook_slides(nbformat.v4.new_notebook(cells=[text, *code]), tmp_path)
    assert ("<pre>energy &lt; 1</pre>" in slide.body) == shown
    assert "not announced" not in slide.body


def test_slides_of_a_markdown_file(tmp_path):
    (tmp_path / "01_talk.md").write_text("# Talk\n\nNote:\nSmile.\n\n---\n\n## Two\n\n$x$ --- text\n")
    one, two = markdown_slides(tmp_path / "01_talk.md")
    assert (one.look, one.label, two.label) == ("title", "Talk", "Two")
    assert "Smile" in one.notes[0]
    assert "Smile" not in one.body
    assert "<math>" in two.body


def test_opening_deck_has_notes_and_the_disclaimer():
    slides = markdown_slides(OPENING)
    assert "not for diagnosis" in slides[0].body
    assert sum(bool(one.notes) for one in slides) >= 5


# --- offline, for everybody ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECKS)
def test_a_deck_is_one_faultless_file_that_can_be_carried_away(name, tmp_path):
    page = tmp_path / "elsewhere.html"
    page.write_text(deck(name), encoding="utf-8")
    assert page_faults(page) == []
    assert not re.search(r"""src=["'](?!data:)|url\((?!["']?data:)""", page.read_text(encoding="utf-8"))


def test_index_and_decks_of_the_command(course, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MEDSYNTH_CHROMIUM", "")
    assert main(["lessons", "slides", "--out", str(tmp_path / "decks"), "--notebooks", str(course)]) == 0
    said = capsys.readouterr().out
    assert "no PDF: neither Chromium nor Chrome" in said
    assert said.count("slides  ") == 2
    assert sorted(path.name for path in (tmp_path / "decks").iterdir()) == [
        "00_opening.html",
        "07_tiny.html",
        "index.html",
    ]
    assert page_faults(tmp_path / "decks" / "index.html") == []


def test_a_picture_that_is_missing_is_named(course, tmp_path):
    shutil.rmtree(course / "expected")
    with pytest.raises(MedSynthError, match=r"(?s)picture.*cell expected.*small.png"):
        build_slides(tmp_path / "decks", ("07",), course, pdf=False)


# --- in a browser ----------------------------------------------------------------------------------------------------


@needs_chromium
@pytest.mark.parametrize("name", DECKS)
def test_everything_fits_on_its_slide_is_legible_and_nothing_is_lost(name, tmp_path):
    html = deck(name)
    slides = measure(html, tmp_path)["slides"]
    assert {one["label"]: one["outside"] for one in slides if one["outside"]} == {}
    assert min(one["font"] for one in slides) >= SMALLEST_FONT
    assert all(size > 0 for one in slides for picture in one["pictures"] for size in picture)
    assert "".join(one["text"] for one in slides) == BlockText(html).text


LONG = "## Long\n\n" + "\n".join(f"* point number {number} of a list that is much too long" for number in range(40))
TALL = "## Tall\n\n" + "| a | b |\n|---|---|\n" + "| row | row |\n" * 60
WIDE = "## Wide\n\n$$" + " + ".join(f"\\frac{{a_{{{number}}}}}{{b}}" for number in range(90)) + "$$"


@needs_chromium
def test_a_slide_too_full_goes_on_to_others_under_the_same_heading(tmp_path):
    slides = measure(deck_of(cell("long", LONG, "slide")), tmp_path)["slides"]
    assert len(slides) > 2
    assert [one["continued"] for one in slides] == [False] + [True] * (len(slides) - 1)
    assert not any(one["outside"] for one in slides)
    assert [int(number) for one in slides for number in re.findall(r"number(\d+)of", one["text"])] == list(range(40))


@needs_chromium
@pytest.mark.parametrize("text", [TALL, WIDE], ids=["tall table", "wide formula"])
def test_measuring_finds_what_cannot_fit(text, tmp_path):
    assert any(one["outside"] for one in measure(deck_of(cell("full", text, "slide")), tmp_path)["slides"])


@needs_chromium
def test_measuring_finds_a_full_slide_where_the_script_does_not_fit_it(tmp_path):
    html = deck_of(cell("long", LONG, "slide")).replace("[...deck.children].forEach(fit);", "")
    assert any(one["outside"] for one in measure(html, tmp_path)["slides"])


@needs_chromium
def test_keys_turn_slides_and_show_fragments_one_by_one(course, tmp_path):
    html = deck_html("Tiny", notebook_slides(nbformat.read(course / "07_tiny.ipynb", 4), course))
    keys = (
        "ArrowRight",
        "PageDown",
        " ",
        "ArrowRight",
        "ArrowRight",
        "ArrowLeft",
        "End",
        "ArrowRight",
        "Home",
        "ArrowLeft",
    )
    seen = measure(html, tmp_path, keys)["seen"]
    assert seen == [[1, 0], [2, 0], [3, 0], [3, 1], [4, 0], [3, 1], [5, 0], [5, 0], [0, 0], [0, 0]]


@needs_chromium
def test_pdf_has_a_page_for_each_slide_and_the_font_of_formulas(course, tmp_path):
    page, pdf = tmp_path / "deck.html", tmp_path / "deck.pdf"
    page.write_text(deck_html("Tiny", notebook_slides(nbformat.read(course / "07_tiny.ipynb", 4), course)))
    print_pdf(page, pdf)
    data = pdf.read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", data)) == 6
    assert re.search(rb"/MediaBox\s*\[0 0 960 540\]", data)  # 1280 x 720 pixels in points
    assert b"STIXTwoMath" in data
