"""Look for identifiers in everything that was written: files of any kind, what is packed in them, and their names."""

from __future__ import annotations

import base64
import binascii
import contextlib
import gzip
import io
import itertools
import json
import mmap
import os
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from medsynth_lib.data.identifiers import SHORTEST_NAME, is_dicom, is_long_enough
from medsynth_lib.errors import InputError, hidden_name, is_harmless

PNG = b"\x89PNG\r\n\x1a\n"
#: Words of fewer letters than this count only where they stand alone, in at least ``RUN`` readable letters.
WORD, RUN = 6, 6
#: A packed file is read up to this size: 4 GiB.
MOST = 2**32
#: How a date of eight digits may be written otherwise.
DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%Y", "%m/%d/%Y")
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
#: Packed in packed in packed: as deep as this.
DEPTH = 4


@dataclass(frozen=True)
class Finding:
    """Where an identifier was found: the file (relative), what in it, and which identifier, never the value."""

    path: str
    part: str
    identifier: str
    count: int


def read_identifiers(path: str | Path) -> dict[str, str]:
    """Value → ``line N`` of a text file with one identifier per line; empty lines and ``#`` comments are passed over.

    Raises:
        InputError: the file cannot be read, or holds none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("the list of identifiers cannot be read", where=path, seen=type(error).__name__) from error
    found = {line.strip(): f"line {number}" for number, line in enumerate(lines, 1)
             if line.strip() and not line.startswith("#")}  # fmt: skip
    if not found:
        raise InputError("no identifiers are listed", where=path, rule="one per line")
    return found


def search(path: str | Path, identifiers: Mapping[str, str]) -> tuple[list[Finding], int]:
    """Every place under ``path`` where one of ``identifiers`` (value → what to call it) stands, and how many files.

    Looked into: the bytes of each file as UTF-8, Latin-1, UTF-16 and JSON escapes, whatever the case, with accents or
    without; dates of eight digits also as 1950-01-02, 02.01.1950 and the like; gzip (NIfTI), zip (checkpoints, NumPy),
    compressed text in PNG, pictures inside notebooks and pages; the names of files and folders. Not looked into: text
    drawn as pixels, compressed PDF.

    Raises:
        InputError: nothing is there, or an identifier is shorter than three characters.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", where=path)
    short = sorted({what for value, what in identifiers.items() if not is_long_enough(value)})
    if short:
        raise InputError("too short to look for", rule=f"{SHORTEST_NAME} characters", seen=", ".join(short[:8]))
    matcher, findings, files = _Matcher(identifiers), [], 0
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        relative = matcher.shown(file, file.relative_to(path).parts if file != path else (file.name,))
        findings += matcher.found(os.fsencode(file.name), relative, "name")
        if file.is_file():
            files += 1
            for part, content in _parts(file):
                findings += matcher.found(content, relative, part)
    return findings, files


def format_findings(findings: Iterable[Finding], files: int, identifiers: int, short: Mapping[str, int]) -> str:
    """For a reader. ``short``: how many values of which keyword were too short to be looked for."""
    findings = list(findings)
    lines = [f"{one.count} × {one.identifier} in {one.path} ({one.part})" for one in findings]
    if short:
        told = ", ".join(f"{count} of {keyword}" for keyword, count in short.items())
        lines.append(f"not looked for, as values so short are found in any file: {told}")
    total = f"{files} files searched for {identifiers} identifiers: "
    return "\n".join([*lines, total + (f"{len(findings)} places hold one" if findings else "none found")])


def findings_dict(findings: Iterable[Finding], files: int, identifiers: int, short: Mapping[str, int]) -> dict:
    """For JSON."""
    found = [asdict(one) for one in findings]
    return {"files": files, "identifiers": identifiers, "too_short": dict(short), "findings": found}


class _Matcher:
    """All identifiers in all their spellings as one pattern over bytes."""

    def __init__(self, identifiers: Mapping[str, str]):
        self.names: dict[bytes, str] = {}
        self.short: set[bytes] = set()
        for value, what in identifiers.items():
            for word in _spellings(value):
                for form in _encoded(word):
                    self.names.setdefault(form.lower(), what)
                    if sum(map(str.isalnum, word)) < WORD:
                        self.short.add(form.lower())
        self.pattern = _pattern(self.names)

    def found(self, content: bytes | mmap.mmap, path: str, part: str) -> list[Finding]:
        counts: dict[str, int] = {}
        for match in self.pattern.finditer(content):
            form = match[0].lower()
            if form not in self.short or _stands_alone(content, *match.span()):
                counts[self.names[form]] = counts.get(self.names[form], 0) + 1
        return [Finding(path, part, what, count) for what, count in counts.items()]

    def shown(self, file: Path, names: tuple[str, ...]) -> str:
        """The names on the way to a file, but for those that hold an identifier, and any that a hospital gave."""
        given = file.is_file() and is_dicom(file)
        keep = [not self.pattern.search(os.fsencode(name)) and (not given or is_harmless(name)) for name in names]
        told = "/".join(name if kept else hidden_name(name) for name, kept in zip(names, keep, strict=True))
        return os.fsencode(told).decode(errors="backslashreplace")  # a name need not be UTF-8, what is printed must


def _pattern(forms: Iterable[bytes]) -> re.Pattern[bytes]:
    """One pattern for all ``forms`` (lower case), whatever the case of the text.

    No two branches start alike, so that one byte tells whether to go on: hundreds of forms, tried one after the other,
    would take a minute for three megabytes.
    """
    branches = []
    for first, group in itertools.groupby(sorted(forms), lambda form: form[:1]):
        rest = _rest([form[1:] for form in group])
        branches += [re.escape(one) + rest for one in sorted({first, first.upper()})]
    return re.compile(b"|".join(branches) or b"(?!)")


def _rest(forms: list[bytes]) -> bytes:
    """What may follow: the longest of ``forms`` (sorted) first."""
    branches = []
    for _, group in itertools.groupby(filter(None, forms), lambda form: form[:1]):
        alike = list(group)
        start = os.path.commonprefix(alike)  # noqa: RUF071, of bytes, not of paths
        letters = (re.escape(one) if one == one.upper() else b"[%c%c]" % (one, one.upper())
                   for one in map(bytes, zip(start)))  # fmt: skip
        branches.append(b"".join(letters) + _rest([form[len(start) :] for form in alike]))
    return b"(?:" + b"|".join(branches) + b")" + (b"" if all(forms) else b"?") if branches else b""


def _spellings(value: str) -> set[str]:
    """A name or date as others may write it.

    In capitals or not (bytes know the case of ASCII only), with accents in one character or two or none, Müller as
    Mueller, a date in another order, short names joined.
    """
    value = unicodedata.normalize("NFC", value)
    words = {value, *_dates(value), *_joined(value)}
    words |= {form(word) for word in words for form in (str.lower, str.upper, str.title)}
    words |= {word.translate(UMLAUTS) for word in words}
    split = {unicodedata.normalize("NFD", word) for word in words}
    words |= {"".join(one for one in word if not unicodedata.combining(one)) for word in split}
    return split | {unicodedata.normalize("NFC", word) for word in words if is_long_enough(word)}


def _dates(value: str) -> set[str]:
    if not re.fullmatch("[0-9]{8}", value):
        return set()
    try:
        day = datetime.strptime(value, "%Y%m%d")
    except ValueError:  # a number
        return set()
    return {day.strftime(form) for form in DATES}


def _joined(value: str) -> set[str]:
    """``Li^Wu`` as Li Wu, Wu Li, LiWu ...: neither part is looked for on its own."""
    parts = [part for part in value.split("^") if part]
    if len(parts) < 2 or any(map(is_long_enough, parts)) or not is_long_enough("".join(parts)):
        return set()
    return {glue.join(order) for glue in (" ", ", ", "_", "-", "") for order in (parts, parts[::-1])}


def _encoded(word: str) -> set[bytes]:
    forms = {word.encode(), word.encode("utf-16-le"), json.dumps(word)[1:-1].encode()}
    return forms | ({word.encode("latin-1")} if all(ord(one) < 256 for one in word) else set())


def _stands_alone(content: bytes | mmap.mmap, start: int, stop: int) -> bool:
    """Not part of a longer word, and among readable text: three letters in random bytes mean nothing."""
    before, after = content[max(0, start - RUN) : start], content[stop : stop + RUN]
    if re.search(rb"[A-Za-z0-9]\Z", before) or re.match(rb"[A-Za-z0-9]", after):
        return False
    left, right = re.search(rb"[\x20-\x7e\n\t]*\Z", before)[0], re.match(rb"[\x20-\x7e\n\t]*", after)[0]
    whole = len(content) <= stop - start + 2 * RUN
    return whole or len(left) + (stop - start) + len(right) >= min(RUN, len(content))


def _parts(file: Path) -> Iterator[tuple[str, bytes | mmap.mmap]]:
    """The bytes of a file, then of everything packed in it."""
    if not file.stat().st_size:
        return
    with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield "content", content
        yield from _unpacked(content, DEPTH)


def _unpacked(content: bytes | mmap.mmap, depth: int) -> Iterator[tuple[str, bytes]]:
    if depth == 0:
        return
    for part, inner in _inside(content):
        yield part, inner
        yield from _unpacked(inner, depth - 1)


def _inside(content: bytes | mmap.mmap) -> Iterator[tuple[str, bytes]]:
    start = content[:8]
    if start[:2] == b"\x1f\x8b":
        yield "gzip", _gunzipped(content)
    elif start[:2] == b"PK":
        yield from _zip_members(content)
    elif start == PNG:
        yield from _png_texts(content)
    elif not re.search(rb"\0", content[:1024]):
        yield from _pictures(content)


def _gunzipped(content: bytes | mmap.mmap) -> bytes:
    """All members of a gzip file one after the other, as far as they can be read."""
    found = bytearray()
    with contextlib.suppress(EOFError, OSError, zlib.error), gzip.GzipFile(fileobj=io.BytesIO(content[:])) as opened:
        while len(found) < MOST and (part := opened.read1(2**20)):
            found += part
    return bytes(found)


def _zip_members(content: bytes | mmap.mmap) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content[:])) as archive:
            for member in archive.infolist():
                yield "zip member", member.filename.encode() + b"\n" + member.comment
                yield "zip member", archive.read(member) if member.file_size < MOST else b""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error):
        return


def _png_texts(content: bytes | mmap.mmap) -> Iterator[tuple[str, bytes]]:
    """The texts of a picture that are compressed (zTXt, iTXt); plain ones are found as they are."""
    at = len(PNG)
    while at + 8 <= len(content):
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        body, at = content[at + 8 : at + 8 + size], at + 12 + size
        if kind in (b"zTXt", b"iTXt"):
            packed = re.search(rb"\x78[\x01\x5e\x9c\xda]", body)
            try:
                yield "PNG text", zlib.decompressobj().decompress(body[packed.start() :], 2**24) if packed else b""
            except zlib.error:
                continue


def _pictures(content: bytes | mmap.mmap) -> Iterator[tuple[str, bytes]]:
    """Base64 in pages and notebooks."""
    for run in re.finditer(rb"(?:[A-Za-z0-9+/]{4}(?:\\n|\n)?){16,}[A-Za-z0-9+/]{0,3}={0,2}", content):
        try:
            yield "base64", base64.b64decode(re.sub(rb"\\n|\n", b"", run[0]) + b"==")
        except binascii.Error:
            continue
