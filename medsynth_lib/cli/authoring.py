"""``medsynth lessons new``: for who writes lessons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from medsynth_lib.cli.lessons import lessons


@lessons.command(name="new")
def lessons_new(stem: Annotated[str, tyro.conf.Positional], notebooks: Path | None = None) -> None:
    """Write the skeleton of a new lesson: it runs and keeps every rule; replace its words.

    Args:
        stem: Its name: two digits and words, as 08_low_dose_pet.
        notebooks: The folder of lessons; the course's own by default.
    """
    from medsynth_lib.course.lessons import NOTEBOOKS
    from medsynth_lib.course.skeleton import write_skeleton

    print(f"{write_skeleton(stem, notebooks or NOTEBOOKS)}: now make it yours; docs/instructors.md tells how")
