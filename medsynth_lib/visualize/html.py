"""A picture as HTML, with words for those who cannot see it."""

from __future__ import annotations

import base64
from html import escape


def figure_html(png: bytes, alt: str) -> str:
    """An ``<img>`` with ``png`` inside it and ``alt`` beside it: survives every export."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(alt, quote=True)}" src="data:image/png;base64,{data}" style="max-width: 100%">'
