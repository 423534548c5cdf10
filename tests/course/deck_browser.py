"""Opens a deck in Chromium and measures its slides; independent of how ``slides/deck.js`` makes them fit."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from medsynth_lib.course.chromium import find_chromium, run_chromium

needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="no Chromium or Chrome is installed")

#: After the deck's own script: what a reader would see of each slide.
_MEASURE = """
addEventListener("load", () => {
  const shown = (one) => !one.closest("details, .notes") && one.getClientRects().length;
  const squeezed = (text) => text.replace(/\\s+/g, "");
  const size = (one) => parseFloat(getComputedStyle(one).fontSize);
  const scale = document.querySelector(".slide").getBoundingClientRect().width / 1280;
  const slides = [...document.querySelectorAll(".slide")].map((slide) => {
    const frame = slide.getBoundingClientRect(), content = slide.querySelector(".content");
    const all = [...content.querySelectorAll("*")].filter(shown);
    const outside = all.filter((one) => {
      const box = one.getBoundingClientRect();
      const low = box.bottom > frame.bottom - 44 * scale + 1, right = box.right > frame.right - 20 * scale;
      return low || right || box.top < frame.top || box.left < frame.left;
    });
    const texts = [...content.children].filter((one) => !one.matches(".kicker, h1, h2, h3, .notes"));
    return {
      label: slide.ariaLabel, continued: slide.matches(".continued"),
      outside: outside.map((one) => one.outerHTML.slice(0, 80)),
      font: Math.min(...all.filter((one) => one.matches("p, li, td, th, pre, figcaption, math")).map(size)),
      text: squeezed(texts.map((one) => one.textContent).join("")),
      pictures: [...content.querySelectorAll("img")].map((one) => [one.offsetWidth, one.offsetHeight]),
    };
  });
  const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  const seen = [];
  for (const key of KEYS) {
    press(key);
    const current = [...document.querySelectorAll(".slide")].findIndex((one) => one.matches(".current"));
    seen.push([current, document.querySelectorAll(".current .fragment.shown").length]);
  }
  document.documentElement.dataset.measured = JSON.stringify({slides, seen});
});
"""


def measure(html: str, folder: Path, keys: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a reader sees, slide by slide, and where each of ``keys`` leads.

    ``slides``: label, what lies ``outside``, the smallest ``font`` in pixels, ``text`` without headings and spaces,
    sizes of ``pictures``. ``seen``: after each key the slide, and how many of its fragments show.
    """
    page = folder / "measured.html"
    script = _MEASURE.replace("KEYS", json.dumps(keys))
    page.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    dom = run_chromium(page, "--window-size=1280,720", "--virtual-time-budget=20000", "--dump-dom", timeout_s=300)
    return json.loads(unescape(re.search(r'data-measured="([^"]*)"', dom)[1]))
