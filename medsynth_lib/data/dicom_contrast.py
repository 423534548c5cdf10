"""Whether a CT shows contrast agent in the vessels: what people write into free-text tags, and the coded ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom.dataset import Dataset

from medsynth_lib.data.tags import text

#: "None administered", "W/O CONTRAST", "ohne KM", "-": words at the start that deny all that follows.
ABSENT = re.compile(
    r"(\W*|N|N/?A|0*([.,]0*)?\s*(ML|CC)?|NULL)$"
    r"|(NO|NOTHING|NONE|NOT|NIL|NON[- ]?(CONTRAST|ENHANCED)|UN-?ENHANCED|NATIVE?|PLAIN|W/?O|W/OUT"
    r"|WITHOUT|OHNE|KEINE?|SANS|SIN|SENZA)\b"
)
#: Drunk, filled in from below or into a joint: agent stays there, unless there was some in the vessels too.
ELSEWHERE = re.compile(r"\b((PER)?ORAL(LY|E)?|P\.?O|PER ?OS|RECTAL(LY)?|ENTERAL(LY)?|INTRA[- ]?\w+)\b")
IN_VESSELS = re.compile(r"\b(I\.?V|I\.?A|(VENOUS|ARTERIAL)(LY)?|INTRA[- ]?(VENO|VENÖ|VEIN|ARTER|VASC|CORON|CARD)\w*)\b")


def has_contrast(tags: Dataset) -> bool:
    """Whether contrast agent was given into the vessels, by ContrastBolusAgent or ContrastBolusAgentSequence.

    A route counts where it is written: an agent without one is taken as given into a vein.
    """
    if text(tags, "ContrastBolusAgentAdministered").upper() == "NO":  # of a frame: before the bolus
        return False
    return any(_in_vessels(agent.strip().upper(), route.upper()) for agent, route in _agents(tags))


def _agents(tags: Dataset) -> Iterator[tuple[str, str]]:
    """Each agent with its route, as words."""
    route = f"{text(tags, 'ContrastBolusRoute')} {_meanings(tags, 'ContrastBolusAdministrationRouteSequence')}"
    yield text(tags, "ContrastBolusAgent"), route
    for item in tags.get("ContrastBolusAgentSequence") or ():
        own = _meanings(item, "ContrastBolusAdministrationRouteSequence")
        yield text(item, "CodeMeaning") or "coded", own or route


def _meanings(tags: Dataset, keyword: str) -> str:
    return " ".join(text(item, "CodeMeaning") for item in tags.get(keyword) or ())


def _in_vessels(agent: str, route: str) -> bool:
    words = f"{agent} {route}"
    return not ABSENT.match(agent) and bool(IN_VESSELS.search(words) or not ELSEWHERE.search(words))
