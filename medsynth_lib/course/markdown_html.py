"""Markdown of lessons and documents as HTML that needs nothing from elsewhere: formulas become MathML."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote

from math_core import LatexError, LatexToMathML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from medsynth_lib.errors import MedSynthError

_FORMULA = LatexToMathML(fancy_error=False)
_IMAGE = re.compile(r"""(<img\b[^>]*\bsrc=["'])([^"']+)""")
_LESSON = re.compile(r"\b([Ll]esson) (\d\d)\b")
#: Inside raw HTML: code and tags as they are, then formulas and `code`.
_IN_HTML = re.compile(r"(?s)(<(?:code|pre)\b.*?</(?:code|pre)>|<[^>]*>)|\$\$(.+?)\$\$|\$([^$\n]+?)\$|`([^`\n]+)`")


@dataclass(frozen=True)
class Links:
    """Where relative links of a text lead to.

    Args:
        pages: address in the text (``02_x.ipynb``, ``../docs/glossary.md``) -> address of its page. Of any other
            relative link only the words are kept. "Lesson 02" becomes a link where a ``02_….ipynb`` is among them.
        here: the page being made; it does not link to itself.
    """

    pages: Mapping[str, str] = field(default_factory=dict)
    here: str = ""

    def page(self, address: str) -> str | None:
        """``address`` as it is to be written, or ``None`` where there is nothing to link to."""
        if re.match(r"https?://|mailto:|#", address):
            return address
        file, hash_, anchor = address.partition("#")
        return self.pages[file] + hash_ + anchor if file in self.pages else None

    def lesson(self, number: str) -> str | None:
        found = [page for file, page in self.pages.items() if re.match(rf"{number}_.*\.ipynb$", file)]
        return found[0] if found and found[0] != self.here else None


NO_LINKS = Links()


def formula_html(latex: str, *, block: bool = False, where: str = "") -> str:
    """``latex`` as MathML, which browsers draw by themselves.

    Raises:
        MedSynthError: a command that is not understood.
    """
    try:
        mathml = _FORMULA.convert_with_local_state(latex.strip(), displaystyle=block)
    except LatexError as error:
        raise MedSynthError(
            "a formula that cannot be shown",
            where=where or None,
            rule="LaTeX maths without packages, environments such as aligned and pmatrix",
            seen=f"{latex.strip()} ({str(error).splitlines()[0]})",
            fix="write it in simpler commands",
        ) from error
    return f'<span class="formula">{mathml}</span>' if block else mathml


def markdown_html(text: str, *, links: Links = NO_LINKS, embed_from: str | Path | None = None, where: str = "") -> str:
    """``text`` (Markdown with LaTeX) as HTML.

    Args:
        links: see ``Links``.
        embed_from: a folder; pictures that the text names relative to it are put into the HTML.
        where: named in the message about a formula that cannot be shown.

    Raises:
        MedSynthError: such a formula, or a picture that is not there.
    """
    folder = None if embed_from is None else Path(embed_from)
    return MarkdownWithMath(renderer=_Renderer(links, folder, where)).render(text).strip()


def plain_text(text: str) -> str:
    """``text`` (Markdown, one line) without markup, for titles and labels."""
    return unescape(re.sub(r"<[^>]+>", "", markdown_html(text))).strip()


class _Renderer(IPythonRenderer):
    def __init__(self, links: Links, embed_from: Path | None, where: str):
        super().__init__(escape=False, exclude_anchor_links=True)
        self.links, self.embed_from, self.where = links, embed_from, where

    def text(self, text: str) -> str:
        return _LESSON.sub(self._lesson_link, super().text(text))

    def _lesson_link(self, found: re.Match[str]) -> str:
        page = self.links.lesson(found[2])
        return f'<a href="{escape(page)}">{found[0]}</a>' if page else found[0]

    def link(self, text: str, url: str, title: str | None = None) -> str:
        words = re.sub(r"</?a\b[^>]*>", "", text)
        page = self.links.page(url)
        return words if page is None else super().link(words, page, title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return super().image(text, self._picture(url), title)

    def _picture(self, address: str) -> str:
        """``address``, or the picture itself where it is put into the HTML (nbconvert only does it in one folder)."""
        if self.embed_from is None or re.match(r"[a-z]+:", address):
            return address
        file = self.embed_from / unquote(address)
        if not file.is_file():
            raise MedSynthError("a picture that is not there", where=self.where or None, seen=address)
        kind = mimetypes.guess_type(file.name)[0] or "image/png"
        return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"

    def block_math(self, body: str) -> str:
        return formula_html(body, block=True, where=self.where)

    def inline_math(self, body: str) -> str:
        return formula_html(body, where=self.where)

    def latex_environment(self, name: str, body: str) -> str:
        return formula_html(rf"\begin{{{name}}}{body}\end{{{name}}}", block=True, where=self.where)

    def block_html(self, html: str) -> str:
        return super().block_html(_IMAGE.sub(lambda tag: tag[1] + self._picture(tag[2]), self._with_formulas(html)))

    def inline_html(self, html: str) -> str:
        return super().inline_html(_IMAGE.sub(lambda tag: tag[1] + self._picture(tag[2]), html))

    def table(self, text: str) -> str:
        return f'<div class="table" tabindex="0" role="region" aria-label="table"><table>{text}</table></div>\n'

    def _with_formulas(self, html: str) -> str:
        """Markdown leaves HTML alone, and so the formulas in a hint that is folded away."""

        def converted(found: re.Match[str]) -> str:
            as_it_is, block, inline, code = found.groups()
            if as_it_is:
                return as_it_is
            if code:
                return f"<code>{code}</code>"
            return formula_html(unescape(block or inline), block=bool(block), where=self.where)

        return _IN_HTML.sub(converted, html)
