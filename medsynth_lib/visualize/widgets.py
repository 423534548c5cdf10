"""ipywidgets around pure ``render(**state) -> Figure`` functions."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets
from matplotlib.figure import Figure

from medsynth_lib.visualize.html import figure_html, figure_png


def explorer(render: Callable[..., Figure], alt: str, **controls: widgets.Widget) -> widgets.VBox:
    """Controls above a picture: ``render`` is called with the controls' values whenever one is let go.

    The keyword names are ``render``'s argument names; ``alt`` says in words what the picture shows. An error inside
    ``render`` is raised, not swallowed. The picture is an HTML widget, not an ``Output``: batch runners answer an
    ``Output``'s messages from inside the cell that makes it, and were seen to wait for each other for ever.
    """
    picture = widgets.HTML()

    def redraw(_change: object = None) -> None:
        figure = render(**{name: control.value for name, control in controls.items()})
        picture.value = figure_html(figure_png(figure), alt)

    for control in controls.values():
        if hasattr(control, "continuous_update"):
            control.continuous_update = False
        control.observe(redraw, names="value")
    redraw()
    return widgets.VBox([*controls.values(), picture])
