"""The site works offline and for everybody; each rule is shown to catch a planted fault."""

import hashlib
import re
from pathlib import Path

import nbformat
import pytest

from medsynth_lib.cli import main
from medsynth_lib.course.course_pages import FONT, FONT_LICENCE, PAGES
from medsynth_lib.course.lessons import find_lessons
from medsynth_lib.course.markdown_html import Links, formula_html, markdown_html
from medsynth_lib.course.page_check import page_faults
from medsynth_lib.course.site import build_site
from medsynth_lib.errors import InputError, MedSynthError
from tests.course.page_factory import FIGURE, PICTURE, PIXEL, cell, write_course, write_run


@pytest.fixture
def course(tmp_path):
    return write_course(tmp_path / "course")


@pytest.fixture(scope="module")
def real_site(tmp_path_factory):
    out = tmp_path_factory.mktemp("pages") / "site"
    build_site(out)
    return out


def read(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")


# --- the lessons of the course ---------------------------------------------------------------------------------------


def test_every_lesson_has_a_page_that_the_index_links_to(real_site):
    index = read(real_site, "index.html")
    for stem in find_lessons():
        assert f'href="{stem}.html"' in index
        assert (real_site / f"{stem}.html").is_file()


def test_every_page_of_the_course_is_faultless(real_site):
    pages = sorted(real_site.rglob("*.html"))
    assert len(pages) == len(find_lessons()) + 2
    assert not [fault for page in pages for fault in page_faults(page)]


def test_no_page_runs_or_loads_anything_a_plain_search_would_find(real_site):
    for page in real_site.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.search(r"<(script|iframe|object|embed)\b", html)
        assert not re.search(r"""<(?!a\b)[a-z]+\b[^>]*(?:src|href)=["'](?:https?:)?//""", html)


def test_every_cell_of_every_lesson_is_on_its_page_once_and_in_order(real_site):
    for stem, path in find_lessons().items():
        sections = re.findall(r'<section class="(?:text|code)" id="([^"]+)">', read(real_site, f"{stem}.html"))
        assert sections == [cell.id for cell in nbformat.read(path, 4).cells]


def test_every_formula_of_the_course_became_mathml(real_site):
    for stem, path in find_lessons().items():
        texts = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
        displayed = sum(text.count("$$") // 2 for text in texts)
        assert read(real_site, f"{stem}.html").count('<math display="block"') >= displayed > 0 or not displayed


# --- a tiny lesson ---------------------------------------------------------------------------------------------------


def test_a_lesson_as_stored_shows_its_text_its_formulas_and_its_links(course, tmp_path):
    shown = build_site(tmp_path / "site", course)
    page = read(tmp_path / "site", "07_tiny.html")
    assert "Not executed" in shown["07_tiny"]
    assert "<mfrac><mi>a</mi><mi>b</mi></mfrac>" in page
    assert 'href="glossary.html#window"' in page
    assert 'src="expected/07_tiny/small.png"' in page
    assert 'alt="A small picture"' in page
    assert "<code>zero</code>" in page  # in a hint that is folded away
    assert "$z" not in page
    assert (tmp_path / "site" / "expected" / "07_tiny" / "small.png").is_file()
    assert (tmp_path / "site" / "assets" / FONT_LICENCE).is_file()


def test_index_has_promise_objectives_and_the_measured_run(course, tmp_path):
    build_site(tmp_path / "site", course, write_run(course, tmp_path / "runs"))
    index = read(tmp_path / "site", "index.html")
    assert "You will see little." in index
    assert re.search(r"<strong>O1</strong> Write <math>", index)
    assert "lesson profile, seed 3: 6 minutes on a CPU, 1.5 GiB" in index


def test_an_executed_lesson_shows_figures_and_the_last_state_of_widgets(course, tmp_path):
    build_site(tmp_path / "site", course, write_run(course, tmp_path / "runs"))
    page = read(tmp_path / "site", "07_tiny.html")
    for image in (FIGURE, PICTURE):
        assert page.count(re.search(r'alt="[^"]+"', image)[0]) == 1
    assert "Here plane: 12; look: lung." in page
    assert "8 slices" in page


def test_nothing_of_the_machine_is_shown(course, tmp_path):
    build_site(tmp_path / "site", course, write_run(course, tmp_path / "runs"))
    page = read(tmp_path / "site", "07_tiny.html")
    assert "somebody" not in page
    assert "VBox(" not in page


def test_a_run_that_did_not_finish_is_not_shown(course, tmp_path):
    runs = write_run(course, tmp_path / "runs")
    (runs / "07_tiny" / "record.json").unlink()
    with pytest.raises(InputError, match="no run of these lessons"):
        build_site(tmp_path / "site", course, runs)


def test_a_run_of_an_earlier_version_is_named_as_one(course, tmp_path):
    runs = write_run(course, tmp_path / "runs")
    notebook = nbformat.read(course / "07_tiny.ipynb", 4)
    notebook.cells[1].source += "\n* **O3** New."
    nbformat.write(notebook, course / "07_tiny.ipynb")
    assert "earlier version" in build_site(tmp_path / "site", course, runs)["07_tiny"]


def test_glossary_links_terms_to_lessons_and_can_be_linked_to(course, tmp_path):
    build_site(tmp_path / "site", course)
    page = read(tmp_path / "site", "glossary.html")
    assert '<li id="window"><strong>Window</strong> (<a href="07_tiny.html">07</a>)' in page
    assert '<li id="voxel"><strong>Voxel</strong> (–)' in page


def test_an_earlier_site_is_replaced_and_nothing_else_is(course, tmp_path):
    site, other = tmp_path / "site", tmp_path / "other"
    build_site(site, course)
    (site / "stale.html").write_text("old")
    build_site(site, course)
    assert not (site / "stale.html").exists()
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(MedSynthError, match="no folder of pages"):
        build_site(other, course)
    assert (other / "thesis.txt").read_text() == "mine"


def test_a_site_with_a_fault_is_not_written(tmp_path):
    course = write_course(tmp_path / "course", (cell("bad", "![](expected/07_tiny/small.png)"),))
    with pytest.raises(MedSynthError, match=r"(?s)would not work.*07_tiny.html: the picture .* has no alt text"):
        build_site(tmp_path / "site", course)
    assert not (tmp_path / "site").exists()


def test_a_formula_that_cannot_be_shown_names_its_cell(tmp_path):
    course = write_course(tmp_path / "course", (cell("strange", r"Here $\nosuchcommand{x}$."),))
    with pytest.raises(MedSynthError, match=r"(?s)cell strange.*nosuchcommand"):
        build_site(tmp_path / "site", course)


def test_command_builds_the_site(course, tmp_path, capsys):
    assert main(["lessons", "site", "--out", str(tmp_path / "site"), "--notebooks", str(course)]) == 0
    assert "07_tiny: Not executed" in capsys.readouterr().out
    assert (tmp_path / "site" / "index.html").is_file()


# --- text ------------------------------------------------------------------------------------------------------------


def test_lessons_are_linked_where_they_are_named_but_never_in_code_or_twice():
    links = Links({"00_a.ipynb": "00_a.html", "01_b.ipynb": "01_b.html"}, here="01_b.html")
    html = markdown_html("Lesson 00, lesson 01, lesson 09, `lesson 00`, [lesson 00](00_a.ipynb#x)", links=links)
    assert re.findall(r'href="([^"]+)"', html) == ["00_a.html", "00_a.html#x"]
    assert "<code>lesson 00</code>" in html
    assert markdown_html("[results](../docs/results.md)", links=links) == "<p>results</p>"


@pytest.mark.parametrize(
    ("latex", "mathml"),
    [
        (r"\hat y", "<mover"),
        (r"\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}", "<mtr>"),
        (r"\min_G", "<munder>"),
        (r"\underbrace{x}_{\text{label}}", "⏟"),
        (r"10\log_{10}", "<msub>"),
    ],
)
def test_formulas_are_mathml_with_their_structure(latex, mathml):
    assert mathml in formula_html(latex, block=True)


def test_font_of_formulas_is_the_one_that_was_published():
    published = "8b2a6834cfe1f4e0f3724ffa59fe92000013fc5a4c41e6a3f438006c26c60f0d"
    assert hashlib.sha256((PAGES / FONT).read_bytes()).hexdigest() == published
    assert "SIL Open Font License" in (PAGES / FONT_LICENCE).read_text()


# --- the check itself ------------------------------------------------------------------------------------------------

PLANTED = {
    "remote picture": ('<img alt="a b" src="https://example.org/a.png">', "from elsewhere"),
    "remote picture, no scheme": ('<img alt="a b" src="//example.org/a.png">', "from elsewhere"),
    "remote picture in srcset": ('<img alt="a b" src="x.png" srcset="https://example.org/a.png 2x">', "from elsewhere"),
    "remote style": ('<link rel="stylesheet" href="https://example.org/a.css">', "from elsewhere"),
    "remote font": ("<style>@font-face { src: url('https://example.org/a.woff2') }</style>", "from elsewhere"),
    "remote import": ('<style>@import "https://example.org/a.css";</style>', "from elsewhere"),
    "remote background": ('<p style="background: url(http://example.org/a.png)">a</p>', "from elsewhere"),
    "remote style of a style": ('<link rel="stylesheet" href="remote.css">', "from elsewhere"),
    "remote script": ('<script src="https://example.org/a.js"></script>', "from elsewhere"),
    "remote frame": ('<iframe src="https://example.org"></iframe>', "from elsewhere"),
    "remote video still": ('<video poster="https://example.org/a.png"></video>', "from elsewhere"),
    "script that fetches": ("<script>fetch('data.json')</script>", "a script may load"),
    "script with an address": ('<script>const at = "https://example.org/a.js"</script>', "a script may load"),
    "no alt": ('<img src="x.png">', "no alt text"),
    "empty alt": ('<img alt="" src="x.png">', "no alt text"),
    "alt of nbconvert": ('<img alt="No description has been provided for this image" src="x.png">', "no alt text"),
    "inline formula": ("<p>the value $-\\log 4$</p>", "left as LaTeX"),
    "display formula": ("<p>$$a + b$$</p>", "left as LaTeX"),
    "environment": ("<p>\\begin{aligned} a \\end{aligned}</p>", "left as LaTeX"),
    "no such picture": ('<img alt="a b" src="none.png">', "there is no none.png"),
    "no such page": ('<a href="none.html">a</a>', "leads nowhere"),
    "no such place here": ('<a href="#none">a</a>', "no place"),
    "no such place there": ('<a href="other.html#none">a</a>', "no place"),
    "an id twice": ('<p id="one">a</p><p id="one">b</p>', "is there twice"),
}
FINE = (
    '<p id="here">costs $5, or $6 <a href="https://example.org">a paper</a> <a href="#here">up</a>'
    '<a href="other.html#there">there</a><img alt="a b" src="x.png">'
    f'<img alt="a b" src="data:image/png;base64,{PIXEL}">'
    "<pre>print('$x_1$')</pre><code>$y_2$</code><style>p { background: url(x.png) }</style></p>"
)


@pytest.fixture
def around(tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    (tmp_path / "other.html").write_text('<p id="there">a</p>')
    (tmp_path / "remote.css").write_text("p { background: url(https://example.org/a.png) }")
    return tmp_path / "page.html"


@pytest.mark.parametrize("fault", PLANTED)
def test_check_finds(around, fault):
    html, message = PLANTED[fault]
    around.write_text(FINE + html)
    faults = page_faults(around)
    assert len(faults) == 1
    assert message in faults[0]


def test_check_leaves_what_is_fine(around):
    around.write_text(FINE)
    assert page_faults(around) == []
