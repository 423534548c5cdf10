"""Where the parts of the course lie in a checkout."""

from __future__ import annotations

from pathlib import Path

#: The lessons.
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
#: Beside the lessons, what each should give: ``expected/expected.json``, ``expected/<stem>/*.png``, and the model.
EXPECTED, BANDS, MODEL = "expected", "expected.json", "model"


def expected_folder(stem: str, notebooks: Path = NOTEBOOKS) -> Path:
    """Reference figures and the model that come with the lesson ``stem``."""
    return notebooks / EXPECTED / stem


def bands_file(notebooks: Path = NOTEBOOKS) -> Path:
    """The bands in which results should lie."""
    return notebooks / EXPECTED / BANDS
