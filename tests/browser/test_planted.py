"""A widget that works in JupyterLab passes; one whose slider raises, or moves nothing, is caught."""

from __future__ import annotations

import pytest

from tests.browser.lab import drive
from tests.course.notebook_factory import write_notebook

WIDGET = """
import ipywidgets as widgets
from matplotlib.figure import Figure
from medsynth_lib.visualize.widgets import explorer


def render(level, shade, grid, side):
    {body}
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot([0, {level}], color=shade)
    figure.axes[0].grid(grid)
    figure.axes[0].set_title(side)
    return figure


explorer(
    render,
    "A line from 0 to the level.",
    level=widgets.FloatSlider({start}, min=0, max=5, step=0.5, description="level"),
    shade=widgets.Dropdown(options=["black", "#0072b2"], description="shade"),
    grid=widgets.Checkbox(False, description="grid"),
    side=widgets.ToggleButtons(options=["left", "right"], description="side"),
)
"""


def widget(body="pass", level="level", start=2.0):
    return WIDGET.format(body=body, level=level, start=start)


@pytest.mark.timeout(900)
def test_every_control_is_moved_and_changes_the_picture(page, lab, pictures):
    write_notebook(lab.folder / "good.ipynb", widget(), widget(start=5.0))
    found = drive(page, lab, "good.ipynb", pictures)
    assert found.faults == []
    assert found.moved == {1: 4, 2: 4}
    assert (pictures / "good-1.png").stat().st_size > 1000


FAULTS = {
    "raises": (widget(body="assert level <= 2, 'planted'"), "AssertionError: planted"),
    "ignores": (widget(level="1"), "the picture did not change with level"),
    "cell": ("1 / 0", "ZeroDivisionError"),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_caught(name, page, lab, pictures, monkeypatch):
    monkeypatch.setattr("tests.browser.lab.REDRAW_S", 8)
    source, words = FAULTS[name]
    write_notebook(lab.folder / f"{name}.ipynb", source)
    found = drive(page, lab, f"{name}.ipynb", pictures)
    assert words in " ".join(fault for _, fault in found.faults), found
