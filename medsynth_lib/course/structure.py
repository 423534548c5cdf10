"""Whether a notebook has the anatomy that every lesson has; each rule is one function from notebook to faults."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

#: Names in the cell tagged ``parameters``.
PARAMETERS = ("PROFILE", "SEED", "STEPS", "DATA_ROOT", "CHECKPOINT", "OUT_DIR")
#: Sections a lesson must have: a cell whose id is this word or begins with it and a dash. True: it makes a slide.
SECTIONS = {
    "title": True,
    "objectives": True,
    "motivation": True,
    "data": False,
    "predict": False,
    "theory": True,
    "build": False,
    "exercise": False,
    "train": False,
    "evaluate": False,
    "widget": False,
    "expected": False,
    "clinic": False,
    "limits": True,
    "recap": False,
}
SLIDE_TYPES = ("slide", "subslide")
DISCLAIMER = "synthetic images, not for diagnosis"
MAX_CODE_LINES = 20
MAX_OUTPUT_CHARACTERS, MAX_OUTPUT_LINES = 2000, 20

_READABLE_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?")
_OBJECTIVE = re.compile(r"\bO\d+\b")
_PLACEHOLDER = re.compile(r"\b(?:TIME|MEM|EXPECTED)_[A-Z]+\b")
_MARKDOWN_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]*)[^)]*\)")
_HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)


def check_structure(notebook: Any, folder: str | Path | None = None) -> list[str]:
    """Every rule that ``notebook`` (nbformat) breaks, as ``cell-id: what is wrong``; empty when it is right.

    Args:
        folder: where the notebook lies; with it, the images that its text shows are looked for.
    """
    rules = (_format, _ids, _title, _objectives, _parameters, _sections, _placeholders, _code, _defines, _outputs)
    faults = [fault for rule in rules for fault in rule(notebook)]
    return [*faults, *_images(notebook, None if folder is None else Path(folder)), *_ending(notebook)]


def code_trees(notebook: Any) -> Iterator[tuple[Any, ast.Module | SyntaxError]]:
    """Each code cell with its syntax tree, IPython magics understood; a ``SyntaxError`` where it does not parse."""
    from IPython.core.inputtransformer2 import TransformerManager

    for cell in notebook.cells:
        if cell.cell_type == "code":
            try:
                yield cell, ast.parse(TransformerManager().transform_cell(cell.source))
            except SyntaxError as error:
                yield cell, error


def _tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def _named(notebook: Any, name: str) -> Iterator[Any]:
    return (cell for cell in notebook.cells if re.match(rf"{name}(-|$)", cell.get("id", "")))


def _format(notebook: Any) -> Iterator[str]:
    if (notebook.nbformat, notebook.nbformat_minor) < (4, 5):
        yield f"notebook: format 4.5 is needed for cell ids, not {notebook.nbformat}.{notebook.nbformat_minor}"
    for cell in notebook.cells:
        if "raises-exception" in _tags(cell):
            yield f"{cell.get('id')}: tagged raises-exception; a lesson runs without errors"


def _ids(notebook: Any) -> Iterator[str]:
    seen = set()
    for index, cell in enumerate(notebook.cells):
        id = cell.get("id", "")
        if not _READABLE_ID.fullmatch(id) or _RANDOM_ID.fullmatch(id):
            yield f"{id or index}: an id is words in small letters joined by dashes, such as theory-adversarial-loss"
        if id in seen:
            yield f"{id}: this id is there twice"
        seen.add(id)


def _title(notebook: Any) -> Iterator[str]:
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not re.match(r"# \S", first.source):
        yield "notebook: the first cell is the title: '# …', the promise in a sentence, the disclaimer"
        return
    if DISCLAIMER not in first.source.lower():
        yield f"{first.get('id')}: the title must say '{DISCLAIMER}'"
    promise = re.sub(rf"(?im)^#.*$|{DISCLAIMER}", "", first.source)
    if len(re.findall(r"\w+", promise)) < 5:
        yield f"{first.get('id')}: the title needs a promise, one sentence on what the reader will be able to do"


def _objectives(notebook: Any) -> Iterator[str]:
    stated = set(_OBJECTIVE.findall(" ".join(cell.source for cell in _named(notebook, "objectives"))))
    recapped = set(_OBJECTIVE.findall(" ".join(cell.source for cell in _named(notebook, "recap"))))
    if not stated:
        yield "objectives: give each objective an id: O1, O2, …"
    for objective in sorted(stated - recapped):
        yield f"recap: objective {objective} is not mentioned"
    for objective in sorted(recapped - stated):
        yield f"recap: {objective} is not among the objectives"


def _parameters(notebook: Any) -> Iterator[str]:
    tagged = [cell for cell in notebook.cells if "parameters" in _tags(cell)]
    if len(tagged) != 1 or tagged[0].cell_type != "code":
        yield f"notebook: one code cell is tagged parameters, not {len(tagged)}"
        return
    id, source = tagged[0].get("id"), tagged[0].source
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return  # reported by _code
    names = []
    for statement in statements:
        target = _assigned_literal(statement)
        if target is None:
            yield f"{id}: only NAME = plain value is allowed, not {ast.unparse(statement)}"
        names += [target] if target else []
    lines = [line for statement in statements for line in range(statement.lineno, statement.end_lineno + 1)]
    if len(set(lines)) < len(lines):
        yield f"{id}: one statement on a line (papermill misreads two)"
    if missing := [name for name in PARAMETERS if name not in names]:
        yield f"{id}: missing {', '.join(missing)}"


def _assigned_literal(statement: ast.stmt) -> str | None:
    """The name in ``NAME = literal`` (perhaps annotated), else ``None``."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    if len(targets) != 1 or not isinstance(targets[0], ast.Name) or isinstance(statement, ast.AugAssign):
        return None
    try:
        ast.literal_eval(statement.value)
    except (ValueError, TypeError, AttributeError):
        return None
    return targets[0].id


def _sections(notebook: Any) -> Iterator[str]:
    for name, is_slide in SECTIONS.items():
        cells = list(_named(notebook, name))
        if not cells:
            yield f"notebook: no section {name} (a cell with the id {name} or {name}-…)"
        elif is_slide and not any(_slide_type(cell) in SLIDE_TYPES for cell in cells):
            yield f"{cells[0].get('id')}: slide_type must be slide, so that the deck has it"


def _slide_type(cell: Any) -> str:
    return cell.metadata.get("slideshow", {}).get("slide_type", "")


def _placeholders(notebook: Any) -> Iterator[str]:
    for cell in (cell for cell in notebook.cells if cell.cell_type == "markdown"):
        if found := sorted(set(_PLACEHOLDER.findall(cell.source))):
            yield f"{cell.get('id')}: not filled in yet: {', '.join(found)}"


def _code(notebook: Any) -> Iterator[str]:
    for cell, tree in code_trees(notebook):
        lines = len(cell.source.splitlines())
        if lines > MAX_CODE_LINES:
            yield f"{cell.get('id')}: {lines} lines; split it, {MAX_CODE_LINES} is the most"
        if isinstance(tree, SyntaxError):
            yield f"{cell.get('id')}: does not parse: {tree.msg}, line {tree.lineno}"
            continue
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) in ("plt.show", "pyplot.show", "matplotlib.pyplot.show"):
                yield f"{cell.get('id')}: plt.show() has no alt text; use lesson.figure(figure, name, alt)"


def _defines(notebook: Any) -> Iterator[str]:
    promised = 0
    for cell, tree in code_trees(notebook):
        for tag in _tags(cell):
            if not tag.startswith("defines:"):
                continue
            promised += 1
            if isinstance(tree, ast.Module) and tag.partition(":")[2] not in _defined(tree):
                yield f"{cell.get('id')}: is tagged {tag} but does not define it"
    if not promised:
        yield "notebook: no cell is tagged defines:<symbol>; a lesson builds something from scratch"


def _defined(tree: ast.Module) -> set[str]:
    names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    stores = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return names | {node.id for node in stores}


def _outputs(notebook: Any) -> Iterator[str]:
    for cell in notebook.cells:
        text = ""
        for output in cell.get("outputs", []):
            if output["output_type"] == "stream" and output["name"] == "stdout":
                text += "".join(output["text"])
            elif output["output_type"] == "execute_result" and set(output["data"]) == {"text/plain"}:
                text += "".join(output["data"]["text/plain"])
            else:
                yield f"{cell.get('id')}: stored output other than short text; clear it"
        if len(text) > MAX_OUTPUT_CHARACTERS or len(text.splitlines()) > MAX_OUTPUT_LINES:
            yield f"{cell.get('id')}: stored output is long; clear it"


def _images(notebook: Any, folder: Path | None) -> Iterator[str]:
    for cell in (cell for cell in notebook.cells if cell.cell_type == "markdown"):
        id, text = cell.get("id"), re.sub(r"(?s)```.*?```|`[^`]*`", "", cell.source)
        if cell.get("attachments") or "data:image" in text:
            yield f"{id}: an image stored inside the notebook; keep it in notebooks/expected"
        images = [(alt, address) for alt, address in _MARKDOWN_IMAGE.findall(text)]
        images += [(_attribute(tag, "alt"), _attribute(tag, "src")) for tag in _HTML_IMAGE.findall(text)]
        for alt, address in images:
            if len(alt.split()) < 2:
                yield f"{id}: the image {address[:60]} needs alt text that says what it shows"
            if re.match(r"(https?:)?//", address):
                yield f"{id}: the image {address[:60]} is not in the course; lessons work offline"
            elif folder and not re.match("data:|attachment:", address) and not (folder / unquote(address)).is_file():
                yield f"{id}: there is no image {address[:60]}"


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf"""\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)')""", tag)
    return (found[1] or found[2] or "") if found else ""


def _ending(notebook: Any) -> Iterator[str]:
    last = None
    for last in code_trees(notebook):  # noqa: B007
        pass
    if last is None or isinstance(last[1], SyntaxError):
        return
    calls = [ast.unparse(node.func) for node in ast.walk(last[1]) if isinstance(node, ast.Call)]
    if "lesson.record" not in calls:
        yield f"{last[0].get('id')}: the last code cell must call lesson.record(metrics)"
