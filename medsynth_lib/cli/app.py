"""The root of the command, and how results are printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from tyro.extras import SubcommandApp

Profile = Literal["smoke", "lesson", "paper"]
Amp = Literal["auto", "off", "bf16", "fp16"]

app = SubcommandApp()


def report(result: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Print ``result`` as JSON, or as ``text()`` for a reader."""
    import json

    print(json.dumps(result, indent=1) if as_json else text())
