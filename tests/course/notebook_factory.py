"""Tiny notebooks for tests."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
PARAMETERS = 'PROFILE = "smoke"\nSEED = 0\nSTEPS = None\nDATA_ROOT = None\nCHECKPOINT = None\nOUT_DIR = "runs/tiny"'


def write_notebook(path: Path, *sources: str, parameters: str | None = PARAMETERS) -> Path:
    """A notebook of code cells ``step-0``, ``step-1`` … (markdown where the source begins with ``#md``)."""
    cells = []
    if parameters is not None:
        cells.append(new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}))
    for number, source in enumerate(sources):
        make = new_markdown_cell if source.startswith("#md") else new_code_cell
        cells.append(make(source, id=f"step-{number}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL), path)
    return path
