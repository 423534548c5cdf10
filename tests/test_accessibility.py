"""What readers who see colours differently, or not at all, need: words beside every picture, no rainbow maps.

Label colours are measured in ``tests/visualize/test_palette.py``, alt text of stored images in the structure check.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from medsynth_lib.course.lessons import NOTEBOOKS, find_lessons
from medsynth_lib.course.structure import code_trees

ROOT = Path(__file__).parent.parent
LESSONS = find_lessons() if NOTEBOOKS.is_dir() else {}
SOURCES = [path for folder in ("medsynth_lib", "data_scripts") for path in sorted((ROOT / folder).rglob("*.py"))]
#: Their lightness rises and falls, so they draw edges that are not there and hide others, in grey above all.
RAINBOWS = {
    "jet",
    "rainbow",
    "hsv",
    "nipy_spectral",
    "gist_rainbow",
    "gist_ncar",
    "gist_stern",
    "prism",
    "turbo",
    "flag",
}
#: Calls that show a picture, and where their alt text stands: position or keyword.
PICTURES = {"lesson.figure": 2, "explorer": 1}
LEAST_WORDS = 4


def rainbows(tree: ast.AST) -> Iterator[str]:
    """Colour maps of ``RAINBOWS`` named in the code, as text or as ``cm.jet``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.removesuffix("_r")
        elif isinstance(node, ast.Attribute) and re.search(r"\bcm$|colormaps$", ast.unparse(node.value)):
            name = node.attr.removesuffix("_r")
        else:
            continue
        if name in RAINBOWS:
            yield name


def pictures_without_words(notebook: Any) -> Iterator[str]:
    """``cell: call`` for each picture of the lesson whose alt text is missing or says nothing."""
    for cell, tree in code_trees(notebook):
        if isinstance(tree, SyntaxError):
            continue
        said = {node.targets[0].id: node.value for node in ast.walk(tree) if _is_plain_assignment(node)}
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            position = PICTURES.get(ast.unparse(call.func))
            if position is not None and _words(_alt(call, position), said) < LEAST_WORDS:
                yield f"{cell.id}: {ast.unparse(call)[:60]}"


def _is_plain_assignment(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)


def _alt(call: ast.Call, position: int) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "alt"]
    return named[0] if named else call.args[position] if len(call.args) > position else None


def _words(alt: ast.expr | None, said: dict[str, ast.expr]) -> float:
    """How many words the text has; a value in braces counts as one, text made elsewhere as many."""
    if isinstance(alt, ast.Name) and alt.id in said:
        alt = said[alt.id]
    if alt is None:
        return 0
    if isinstance(alt, ast.Constant):
        return len(str(alt.value).split())
    if isinstance(alt, ast.JoinedStr):
        return len("".join(one.value if isinstance(one, ast.Constant) else "x" for one in alt.values).split())
    if isinstance(alt, ast.BinOp):
        return _words(alt.left, said) + _words(alt.right, said)
    return float("inf")


@pytest.mark.parametrize("stem", LESSONS)
def test_every_picture_of_a_lesson_has_words(stem):
    assert list(pictures_without_words(nbformat.read(LESSONS[stem], as_version=4))) == []


@pytest.mark.parametrize("stem", LESSONS)
def test_no_rainbow_in_a_lesson(stem):
    found = {cell.id: list(rainbows(tree)) for cell, tree in code_trees(nbformat.read(LESSONS[stem], as_version=4))}
    assert {id: names for id, names in found.items() if names} == {}


def test_no_rainbow_in_the_library():
    found = {path.name: list(rainbows(ast.parse(path.read_text(encoding="utf-8")))) for path in SOURCES}
    assert len(found) > 50
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize("source", ["imshow(x, cmap='jet')", "plt.cm.hsv", "mpl.colormaps['turbo_r']", "C = 'rainbow'"])
def test_a_planted_rainbow_is_caught(source):
    assert list(rainbows(ast.parse(source)))


def test_words_that_merely_contain_a_name_are_not():
    assert not list(rainbows(ast.parse("flags = 'jetlag'; hsv_to_rgb(x); cmap = 'gray'")))


@pytest.mark.parametrize(
    ("source", "right"),
    [
        ("lesson.figure(f, 'a', 'A PET slice beside its CT')", True),
        ("ALT = 'A PET slice beside its CT'\nlesson.figure(f, 'a', ALT)", True),
        ("lesson.figure(f, 'a', alt=f'Loss over {steps} steps')", True),
        ("lesson.figure(f, 'a', words_of(f))", True),
        ("explorer(render, 'A slice, real left of the border', x=1)", True),
        ("lesson.figure(f, 'a')", False),
        ("lesson.figure(f, 'a', 'figure')", False),
        ("ALT = 'a picture'\nlesson.figure(f, 'a', ALT)", False),
        ("explorer(render, '', x=1)", False),
    ],
)
def test_pictures_with_and_without_words_are_told_apart(source, right):
    found = list(pictures_without_words(new_notebook(cells=[new_code_cell(source, id="one")])))
    assert (found == []) == right
