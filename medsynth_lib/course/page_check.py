"""Whether a finished HTML page works offline, for everybody: each rule is one function from page to faults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

#: Attributes whose address a browser loads by itself.
_LOADED = {"src", "srcset", "poster", "data", "background"}
_LOADING_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload"}
_CSS_ADDRESS = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
_REMOTE = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_RAW_MATHS = re.compile(r"\$[^$\n]*[\\^_{=][^$\n]*\$|\$\$|\\(?:begin|frac|mathbb|mathcal|text)\{")
#: Elements whose text is shown as it is, or not at all.
_VERBATIM = {"pre", "code", "script", "style", "math", "textarea"}
#: What nbconvert writes where a picture came without words.
_NO_ALT = "no description has been provided"


@dataclass
class _Page(HTMLParser):
    """What the rules look at, collected while reading."""

    images: list[dict[str, str]] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    css: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in _VERBATIM:
            self.open.append(tag)
        if tag == "img":
            self.images.append(given)
        self.ids += [given["id"]] if "id" in given else []
        self.css += [given["style"]] if "style" in given else []
        self.loaded += [value.split()[0] for name, value in given.items() if name in _LOADED and value.strip()]
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in ("link", "use", "image") and _LOADING_LINKS & set(given.get("rel", "icon").split()):
            self.loaded += [given[name] for name in ("href", "xlink:href") if name in given]
        elif tag == "base":
            self.loaded.append(given.get("href", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            self.open.reverse()
            self.open.remove(tag)
            self.open.reverse()

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        {"style": self.css, "script": self.scripts}.get(inside, [] if inside else self.text).append(data)


def page_faults(path: str | Path) -> list[str]:
    """Everything wrong with the HTML file ``path``, as ``name: what``; empty when it is right.

    A browser that opens it may load only what lies beside it or inside it; every picture has alt text; no formula is
    left as LaTeX; links lead to places that exist (those to other sites are not followed).
    """
    path = Path(path)
    page = _read(path)
    rules = (_loads_nothing_remote, _scripts_load_nothing, _alt_texts, _formulas_drawn, _links_lead_somewhere)
    return [f"{path.name}: {fault}" for rule in rules for fault in rule(page, path)]


def _read(path: Path) -> _Page:
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, _changed: int) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page


def _css_addresses(css: str) -> list[str]:
    return [found[0] or found[1] for found in _CSS_ADDRESS.findall(css)]


def _loads_nothing_remote(page: _Page, path: Path) -> Iterator[str]:
    loaded = [(path.parent, address) for address in page.loaded]
    loaded += [(path.parent, address) for css in page.css for address in _css_addresses(css)]
    for folder, address in loaded:
        file = folder / unquote(address.partition("#")[0].partition("?")[0])
        if address.startswith(("data:", "#")):
            continue
        if _REMOTE.match(address) or re.match(r"[a-z]+:", address):
            yield f"loads {address[:80]} from elsewhere"
        elif not file.is_file():
            yield f"there is no {address[:80]}"
        elif file.suffix == ".css":
            loaded += [(file.parent, inner) for inner in _css_addresses(file.read_text(encoding="utf-8"))]


def _scripts_load_nothing(page: _Page, path: Path) -> Iterator[str]:
    for found in re.findall(r"https?://\S{0,40}|\bfetch\(|XMLHttpRequest|\bimport\(", "\n".join(page.scripts)):
        yield f"a script may load from elsewhere: {found}"


def _alt_texts(page: _Page, path: Path) -> Iterator[str]:
    for image in page.images:
        alt = image.get("alt", "")
        if len(alt.split()) < 2 or _NO_ALT in alt.lower():
            yield f"the picture {image.get('src', '')[:60]} has no alt text"


def _formulas_drawn(page: _Page, path: Path) -> Iterator[str]:
    for text in page.text:
        if found := _RAW_MATHS.search(text):
            yield f"a formula is left as LaTeX: {text[max(0, found.start() - 10) : found.start() + 60].strip()}"


def _links_lead_somewhere(page: _Page, path: Path) -> Iterator[str]:
    for address in page.links:
        if _REMOTE.match(address) or address.startswith("mailto:"):
            continue
        name, _, anchor = address.partition("#")
        target = path.parent / unquote(name) if name else path
        if not target.is_file():
            yield f"a link leads nowhere: {address}"
        elif anchor and target.suffix == ".html" and unquote(anchor) not in _read(target).ids:
            yield f"a link leads to no place in {target.name}: #{anchor}"
    for twice in sorted({id for id in page.ids if page.ids.count(id) > 1}):
        yield f"the id {twice} is there twice"
