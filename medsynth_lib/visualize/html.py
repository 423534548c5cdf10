"""A picture as HTML, with words for those who cannot see it."""

from __future__ import annotations

import base64
import io
from html import escape

from matplotlib.figure import Figure


def figure_png(figure: Figure) -> bytes:
    """``figure`` as a PNG file, cropped to what is drawn."""
    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight")
    return png.getvalue()


def figure_html(png: bytes, alt: str) -> str:
    """An ``<img>`` with ``png`` inside it and ``alt`` beside it: survives every export."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(alt, quote=True)}" src="data:image/png;base64,{data}" style="max-width: 100%">'
