"""The widgets of a lesson with no more of the lesson than they need: a backward slice over the names that cells use."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat.v4 import new_code_cell

from medsynth_lib.course.structure import code_trees

#: Scopes of their own that are no functions.
_RUN_AT_ONCE = {"listcomp", "setcomp", "dictcomp", "genexpr"}
#: Calls on a name that change what it stands for: their cell is needed as well.
_CHANGING = {"append", "extend", "update", "train", "load_state_dict", "eval", "fit"}


def widget_cells(notebook: Any) -> list[str]:
    """Ids of the cells that show a widget: the id begins with ``widget`` and the code calls ``explorer``."""
    return [
        cell.id
        for cell, tree in code_trees(notebook)
        if cell.id.startswith("widget") and "explorer" in {_called(node) for node in ast.walk(tree)}
    ]


def sliced(lesson: Path, **parameters: object) -> tuple[list[str], list[Any]]:
    """(ids of the cells that show the widgets of ``lesson``, fresh copies of all cells that they need).

    All that the lesson imports comes first, so that no cell is needed for what it imports alone.
    ``parameters`` replace values of the lesson's own parameters.
    """
    notebook = nbformat.read(lesson, as_version=4)
    shown = widget_cells(notebook)
    cells = [new_code_cell("\n".join(_imports(notebook)), id="imports")]
    for cell in needed(notebook, shown):
        tagged = "parameters" in cell.metadata.get("tags", [])
        given = "".join(f"\n{name} = {value!r}" for name, value in parameters.items() if tagged)
        cells.append(new_code_cell(cell.source + given, id=cell.id))
    return shown, cells


def needed(notebook: Any, wanted: list[str]) -> list[Any]:
    """The cells of ``wanted``, the parameters, and all before them that bind or change a name they need, in order.

    What a function uses may be bound after it is defined: such names are looked for before each widget, and before the
    function.
    """
    cells = [(cell, _names(tree)) for cell, tree in code_trees(notebook) if isinstance(tree, ast.Module)]
    imported = set(_bound_by_imports(notebook))
    cells = [(cell, _Names(*(one - imported for one in names))) for cell, names in cells]
    late: set[str] = set()
    while True:
        chosen, found = _pass(cells, wanted, late)
        if found <= late:
            return chosen
        late |= found


def _imports(notebook: Any) -> list[str]:
    """Every import statement of the notebook, once, in order."""
    trees = (tree for _, tree in code_trees(notebook) if isinstance(tree, ast.Module))
    found = (ast.unparse(one) for tree in trees for one in tree.body if isinstance(one, (ast.Import, ast.ImportFrom)))
    return list(dict.fromkeys(found))


def _bound_by_imports(notebook: Any) -> Iterator[str]:
    for statement in ast.parse("\n".join(_imports(notebook))).body:
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in statement.names)


def _pass(cells: list[tuple[Any, _Names]], wanted: list[str], late: set[str]) -> tuple[list[Any], set[str]]:
    """(the cells needed where the widgets use the names ``late`` too, names that functions in them use)."""
    missing: set[str] = set()
    chosen, found = [], set()
    for cell, names in reversed(cells):
        asked = (names.bound | names.changed) & missing
        if cell.id in wanted:
            missing |= late
        if asked or cell.id in wanted or "parameters" in cell.metadata.get("tags", []):
            chosen.append(cell)
            missing = (missing - names.bound) | names.free | names.late
            found |= names.late
    return chosen[::-1], found


class _Names(NamedTuple):
    bound: set[str]
    free: set[str]  # used at once, before the cell binds them
    late: set[str]  # used inside a function
    changed: set[str]  # in place


def _names(tree: ast.Module) -> _Names:
    found = _Names(set(), set(), set(), set())
    for statement in tree.body:
        loops = [node.target for node in ast.walk(statement) if isinstance(node, ast.For)]
        running = {node.id for target in loops for node in ast.walk(target) if isinstance(node, ast.Name)}
        table = symtable.symtable(ast.unparse(statement), "cell", "exec")
        known = set(dir(builtins)) | running
        found.free.update(_used(table, top=True) - found.bound - known)
        found.late.update(_used(table, top=False) - known)
        found.bound.update(_stores(statement))
        found.changed.update(_changes(statement))
    return found


def _used(table: symtable.SymbolTable, top: bool, inside: bool = False) -> set[str]:
    """Names of the notebook used at the ``top``, or else inside functions; not arguments or local names."""
    inside = inside or (table.get_type() == "function" and table.get_name() not in _RUN_AT_ONCE)
    used = (symbol for symbol in table.get_symbols() if symbol.is_referenced())
    own = {symbol.get_name() for symbol in used if table.get_type() == "module" or symbol.is_global()}
    return (own if inside != top else set()).union(*(_used(child, top, inside) for child in table.get_children()))


def _stores(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _changes(statement: ast.stmt) -> Iterator[str]:
    """Names whose items or attributes are set, or on which a changing method is called, at the cell's own level."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return
    for node in ast.walk(statement):
        target = node if isinstance(node, (ast.Attribute, ast.Subscript)) else None
        if target is not None and isinstance(target.ctx, ast.Store) and isinstance(target.value, ast.Name):
            yield target.value.id
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
            yield from (one.id for one in [node.func.value] if isinstance(one, ast.Name))


def _called(node: ast.AST) -> str | None:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
