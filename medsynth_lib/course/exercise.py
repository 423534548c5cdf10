"""Exercises that never stop the notebook: a verdict on a student's attempt, and the call-out that shows it.

``judge_attempt`` is pure, so that graders and tests use the very check that the student sees.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

#: Status of an attempt -> heading of its call-out, border colour.
CALL_OUTS = {
    "solved": ("Solved", "#00734f"),
    "unfinished": ("Your turn", "#005a9c"),
    "misconception": ("Not yet", "#b35900"),
    "broken": ("Your code stopped", "#9c1a00"),
}


class Misconception(Exception):
    """Raised by a check that recognises a wrong idea; the message is the hint the student reads."""


@dataclass(frozen=True)
class Judgement:
    """``status`` is a key of ``CALL_OUTS``; ``hint`` is one or two sentences for the student."""

    status: str
    hint: str = ""


def judge_attempt(attempt: Any, check: Callable[[Any], object]) -> Judgement:
    """Run ``check(attempt)`` and say what it found.

    Unfinished: the attempt is, returns, or raises ``NotImplemented``/``NotImplementedError`` (or is ``...``). A check
    raises ``Misconception("hint")`` for a wrong idea it knows; a plain ``assert`` with a message does for the rest.
    """
    if attempt is NotImplemented or attempt is ...:
        return Judgement("unfinished")
    try:
        check(_finished_or_raise(attempt))
    except NotImplementedError:
        return Judgement("unfinished")
    except Misconception as error:
        return Judgement("misconception", str(error))
    except AssertionError as error:
        return Judgement("misconception", str(error) or "The result is not what the exercise asks for.")
    except Exception as error:  # a student's code may raise anything
        return Judgement("broken", f"{_place(error, attempt)}{type(error).__name__}: {error}")
    return Judgement("solved")


def call_out_html(exercise: str, judgement: Judgement) -> str:
    """The call-out for ``judgement``: words, not only colour, carry the meaning."""
    heading, colour = CALL_OUTS[judgement.status]
    rest = {
        "solved": "Your version is used from here on.",
        "unfinished": "Fill in the stub above and run its cell again. Until then the reference version is used below.",
    }.get(judgement.status, "Change the cell above and run it again. Until then the reference version is used below.")
    hint = f"<br>{escape(judgement.hint)}" if judgement.hint else ""
    return (
        f'<div role="note" style="border-left: 4px solid {colour}; padding: 0.4em 0.8em; margin: 0.5em 0">'
        f"<b>{escape(exercise)}: {heading}.</b>{hint}<br>{rest}</div>"
    )


def quiz_html(question: str, options: list[str], answer: int, explanation: str) -> str:
    """A question with lettered ``options``; the right one (``answer``, from 0) and its explanation are folded away."""
    if not 0 <= answer < len(options):
        raise ValueError(f"answer must be an index into the {len(options)} options, got {answer}")
    items = "".join(f"<li>{escape(option)}</li>" for option in options)
    return (
        f'<div role="group"><p><b>{escape(question)}</b></p><ol type="a">{items}</ol>'
        f"<details><summary>Answer</summary><p><b>({chr(ord('a') + answer)}) {escape(options[answer])}</b><br>"
        f"{escape(explanation)}</p></details></div>"
    )


def _finished_or_raise(attempt: Any) -> Any:
    """A function that raises where the student's returns ``NotImplemented``; anything else as it is."""
    if not inspect.isfunction(attempt):
        return attempt

    @functools.wraps(attempt)
    def finished(*args, **kwargs):
        result = attempt(*args, **kwargs)
        if result is NotImplemented or result is ...:
            raise NotImplementedError
        return result

    return finished


def _place(error: Exception, attempt: Any) -> str:
    """``line 3: code — `` where the innermost frame in the file of ``attempt`` is known."""
    code = getattr(inspect.unwrap(attempt), "__code__", None) if callable(attempt) else None
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if code and frame.filename == code.co_filename
    ]
    return f"line {frames[-1].lineno}, `{frames[-1].line}`: " if frames and frames[-1].line else ""
