"""A tiny course with one lesson for the site and the slides, and what an execution of it leaves."""

import base64
import copy
import json
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+M8AAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
FIGURE = f'<img alt="Losses fall over the steps" src="data:image/png;base64,{PIXEL}">'
PICTURE = f'<img alt="A slice in the lung window" src="data:image/png;base64,{PIXEL}">'
RECORD = {"profile": "lesson", "seed": 3, "device": "cpu", "seconds": 372.0, "peak_mib": 1536.0}


def cell(id, source, kind="-", code=False, tags=()):
    metadata = {"slideshow": {"slide_type": kind}, "tags": list(tags)}
    return (new_code_cell if code else new_markdown_cell)(source, id=id, metadata=metadata)


def cells():
    return [
        cell("title", "# Lesson 07 · A tiny one\n\nYou will see little.\n\n*Not for diagnosis.*", "slide"),
        cell("objectives", "## Goals\n\n* **O1** Write $x^2$.\n* **O2** Read it.", "slide"),
        cell("parameters", "SEED = 0", "skip", code=True, tags=["parameters"]),
        cell("theory", "## Theory\n\n$$\\frac{a}{b}$$\n\nSee lesson 07, [words](../docs/glossary.md#window).", "slide"),
        cell("theory-more", "| symbol | meaning |\n|---|---|\n| $\\hat y$ | drawn |", "subslide"),
        cell("theory-step", "Then this.", "fragment"),
        cell("theory-say", "Ask them first.", "notes"),
        cell("train", "figure()  # costs $5_ or $6_", code=True),
        cell("hint", "<details><summary>Hint on $z$</summary>Think of $z_0$ and `zero`.</details>"),
        cell("widget", "explorer()", code=True),
        cell("expected", "## See\n\n![A small picture](expected/07_tiny/small.png)", "slide"),
        cell("build", "def nothing():\n    return None", "slide", code=True),
    ]


def write_course(folder: Path, more: tuple = ()) -> Path:
    """``folder/notebooks`` with the lesson ``07_tiny`` (and cells ``more``), its picture, and a glossary beside it."""
    notebooks = folder / "notebooks"
    (notebooks / "expected" / "07_tiny").mkdir(parents=True)
    (notebooks / "expected" / "07_tiny" / "small.png").write_bytes(base64.b64decode(PIXEL))
    nbformat.write(new_notebook(cells=[*cells(), *more]), notebooks / "07_tiny.ipynb")
    (folder / "docs").mkdir()
    terms = "* **Window** (07). The range $[a, b]$.\n* **Voxel** (–). A box.\n"
    (folder / "docs" / "glossary.md").write_text("# Words\n\n" + terms, encoding="utf-8")
    return notebooks


def write_run(notebooks: Path, runs: Path) -> Path:
    """``runs/07_tiny`` as an execution leaves it: a figure, a moved widget, a progress bar, a cell of papermill."""
    notebook = copy.deepcopy(nbformat.read(notebooks / "07_tiny.ipynb", 4))
    injected = cell("0a1b2c3d", 'OUT_DIR = "/home/somebody/out"', code=True, tags=["injected-parameters"])
    notebook.cells.insert(3, injected)
    by_id = {one.id: one for one in notebook.cells}
    by_id["train"].outputs = [
        new_output("stream", name="stderr", text="UserWarning: /home/somebody/lib"),
        new_output("stream", name="stdout", text="8 slices"),
        new_output("display_data", {"text/html": FIGURE}),
        new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "bar"}}),
    ]
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "box"}, "text/plain": "VBox(children=…"}
    by_id["widget"].outputs = [new_output("display_data", view)]
    state = {
        "box": {"state": {"children": ["IPY_MODEL_plane", "IPY_MODEL_look", "IPY_MODEL_html"]}},
        "plane": {"state": {"description": "plane", "value": 12}},
        "look": {"state": {"description": "look", "index": 1, "_options_labels": ["bone", "lung"]}},
        "html": {"state": {"description": "", "value": PICTURE}},
        "bar": {"state": {"children": ["IPY_MODEL_plane"]}},
    }
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    (runs / "07_tiny").mkdir(parents=True)
    nbformat.write(notebook, runs / "07_tiny" / "07_tiny.ipynb")
    (runs / "07_tiny" / "record.json").write_text(json.dumps(RECORD))
    return runs
