"""What a lesson's notebook shows a student of an exercise: its stub, and its folded solution."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import torch
import torch.nn.functional as F

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"


def solution(stem: str, name: str):
    """The function ``name`` of the folded solution in the lesson ``stem``."""
    return _only(stem, rf"Solution</summary>\s*```python\n(def {name}.*?)```", name)


def stub(stem: str, name: str):
    """The function ``name`` as the student finds it."""
    return _only(stem, rf"^(def {name}\(.*raise NotImplementedError)", name)


def defined_in(source: str, name: str):
    """What ``source`` defines as ``name``."""
    space = {"np": np, "torch": torch, "F": F}
    exec(source, space)  # noqa: S102, our own notebook
    return space[name]


def cells_with(stem: str, pattern: str) -> list[str]:
    """The first group of ``pattern`` in every cell of the lesson that has it."""
    notebook = nbformat.read(NOTEBOOKS / f"{stem}.ipynb", 4)
    return [found[1] for cell in notebook.cells if (found := re.search(pattern, cell.source, re.DOTALL))]


def _only(stem: str, pattern: str, name: str):
    (source,) = cells_with(stem, pattern)
    return defined_in(source, name)
