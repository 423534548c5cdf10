"""A right lesson breaks no rule; every rule catches its planted violation, and only that one."""

import copy

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from medsynth_lib.course.structure import check_structure
from tests.course.notebook_factory import PARAMETERS


def md(id, source, slide=None):
    return new_markdown_cell(source, id=id, metadata={"slideshow": {"slide_type": slide}} if slide else {})


def code(id, source, *tags, outputs=()):
    return new_code_cell(source, id=id, metadata={"tags": list(tags)} if tags else {}, outputs=list(outputs))


def right_lesson():
    shape = new_output("execute_result", data={"text/plain": "(1, 2)"}, execution_count=1)
    cells = [
        md("title", "# Pix2pix\n\nYou will turn PET into CT.\n\n*Synthetic images, not for diagnosis.*", "slide"),
        md("objectives", "## Objectives\n\n- **O1** read\n- **O2** train", "slide"),
        code("parameters", PARAMETERS, "parameters"),
        code("setup", "%matplotlib inline\nfrom medsynth_lib.course.lesson import Lesson\nlesson = Lesson('02')"),
        md("motivation", "## Why\n\n![A PET slice beside its CT](../docs/pair.png)", "slide"),
        md("data", "## The data"),
        md("predict", "## Predict first"),
        md("theory-loss", "## Theory\n\n`![](not/an/image)`", "subslide"),
        code("build-block", "def block(x):\n    return x\n\n(1, 2)", "defines:block", outputs=[shape]),
        md("exercise", "## Exercises"),
        md("train", "## Train"),
        md("evaluate", "## Evaluate"),
        md("widget", "## Swipe"),
        md("expected", "## What you should see: `TIME` in `record.json`"),
        md("clinic", "## Failure clinic"),
        md("limits", "## Limits", "slide"),
        md("recap", "## Recap\n\nO1 and O2"),
        code("record", "lesson.record({})"),
    ]
    return new_notebook(cells=cells)


def cell(notebook, id):
    return next(one for one in notebook.cells if one.id == id)


def setting(name, /, **changes):
    def change(notebook):
        chosen = cell(notebook, name)
        for key, value in changes.items():
            setattr(chosen, key, value)

    return change


def tagging(id, *tags):
    return lambda notebook: cell(notebook, id).metadata.update(tags=list(tags))


def dropping(id):
    return lambda notebook: notebook.cells.remove(cell(notebook, id))


def output(kind, **content):
    return setting("build-block", outputs=[new_output(kind, **content)])


PLANTED = {
    "old format": (lambda notebook: notebook.update(nbformat_minor=4), "format 4.5"),
    "random id": (setting("setup", id="deadbeef"), "deadbeef: an id is words"),
    "uuid": (setting("setup", id="0fcf1b9e-aaaa-bbbb-cccc-0fcf1b9ead5a"), "an id is words"),
    "capital id": (setting("setup", id="Setup"), "an id is words"),
    "same id": (lambda notebook: notebook.cells.insert(4, copy.deepcopy(cell(notebook, "setup"))), "there twice"),
    "no title": (
        setting("title", source="Pix2pix; synthetic images, not for diagnosis"),
        "is the title",
    ),
    "no disclaimer": (setting("title", source="# T\n\nYou will turn PET into CT."), "must say"),
    "no promise": (setting("title", source="# T\n\nSynthetic images, not for diagnosis."), "needs a promise"),
    "no objective ids": (lambda n: (setting("objectives", source="-")(n), setting("recap", source="-")(n)), "O1, O2"),
    "objective not recapped": (setting("recap", source="O1"), "objective O2 is not mentioned"),
    "recap invents": (setting("recap", source="O1 O2 O3"), "O3 is not among"),
    "no parameters": (tagging("parameters"), "one code cell is tagged parameters, not 0"),
    "two parameters": (tagging("setup", "parameters"), "not 2"),
    "computed parameter": (setting("parameters", source=PARAMETERS + "\nEXTRA = int(0)"), "only NAME = plain value"),
    "import": (setting("parameters", source="import os\n" + PARAMETERS), "not import os"),
    "two on a line": (setting("parameters", source=PARAMETERS.replace("\nSEED", "; SEED")), "one statement on a line"),
    "missing parameter": (setting("parameters", source=PARAMETERS.replace("STEPS = None\n", "")), "missing STEPS"),
    **{
        f"no {name}": (dropping(name), f"no section {name} ")
        for name in ("data", "predict", "exercise", "train", "evaluate", "widget", "expected", "clinic", "limits")
    },
    "no build": (setting("build-block", id="setup-block"), "no section build "),
    "time not filled in": (setting("limits", source="| `smoke` | TIME_SMOKE |"), "not filled in yet: TIME_SMOKE"),
    "memory not filled in": (setting("limits", source="MEM_LESSON"), "not filled in yet: MEM_LESSON"),
    "text not filled in": (setting("expected", source="EXPECTED_TEXT"), "not filled in yet: EXPECTED_TEXT"),
    "no slide": (lambda notebook: cell(notebook, "motivation").metadata.clear(), "slide_type must be slide"),
    "long cell": (setting("setup", source="x = 1\n" * 21), "21 lines"),
    "does not parse": (setting("setup", source="def f(:"), "does not parse"),
    "raises-exception": (tagging("setup", "raises-exception"), "raises-exception"),
    "plt.show": (setting("setup", source="plt.show()"), "no alt text"),
    "defines nothing": (tagging("build-block", "defines:Generator"), "does not define it"),
    "no defines": (tagging("build-block"), "builds something"),
    "error output": (output("error", ename="E", evalue="", traceback=[]), "clear it"),
    "image output": (output("display_data", data={"image/png": "x"}), "clear it"),
    "stderr output": (output("stream", name="stderr", text="x"), "clear it"),
    "long output": (output("stream", name="stdout", text="x\n" * 21), "is long"),
    "base64": (setting("limits", source="![a picture](data:image/png;base64,xx)"), "stored inside"),
    "attachment": (setting("limits", attachments={"a.png": {"image/png": "x"}}), "stored inside"),
    "no alt": (setting("limits", source="![](a.png)"), "needs alt text"),
    "no html alt": (setting("limits", source='<img src="a.png">'), "needs alt text"),
    "remote": (setting("limits", source="![A real scan](https://example.org/a.png)"), "work offline"),
    "no record": (dropping("record"), "must call lesson.record"),
}


def test_a_right_lesson_passes():
    notebook = right_lesson()
    nbformat.validate(notebook)
    assert check_structure(notebook) == []


@pytest.mark.parametrize("name", PLANTED)
def test_planted_violation_is_caught_alone(name):
    plant, words = PLANTED[name]
    notebook = right_lesson()
    plant(notebook)
    faults = check_structure(notebook)
    assert len(faults) == 1, faults
    assert words in faults[0]


@pytest.fixture
def notebooks(tmp_path):
    """A folder of notebooks whose right lesson finds its image."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "pair.png").touch()
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


def test_an_image_that_is_there_is_right(notebooks):
    assert check_structure(right_lesson(), notebooks) == []


@pytest.mark.parametrize("source", ["![Error maps in HU](expected/maps.png)", '<img alt="Error maps" src="maps.png">'])
def test_an_image_that_is_not_there_is_caught_alone(source, notebooks):
    notebook = right_lesson()
    cell(notebook, "limits").source = source
    (fault,) = check_structure(notebook, notebooks)
    assert fault.startswith("limits: there is no image")
