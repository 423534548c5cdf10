"""ipywidgets around pure ``render(**state) -> Figure`` functions."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets
from IPython.display import display
from matplotlib.figure import Figure


def explorer(render: Callable[..., Figure], **controls: widgets.Widget) -> widgets.VBox:
    """Controls above a picture: ``render`` is called with the controls' values whenever one is let go.

    The keyword names are ``render``'s argument names. An error inside ``render`` is raised, not swallowed.
    """
    out = widgets.Output()

    def redraw(_change: object = None) -> None:
        figure = render(**{name: control.value for name, control in controls.items()})
        with out:
            out.clear_output(wait=True)
            display(figure)

    for control in controls.values():
        if hasattr(control, "continuous_update"):
            control.continuous_update = False
        control.observe(redraw, names="value")
    redraw()
    return widgets.VBox([*controls.values(), out])
