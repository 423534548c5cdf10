"""Look for identifiers in everything that was written: files of any kind, what is packed in them, and their names."""

from __future__ import annotations

import base64
import binascii
import io
import json
import mmap
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from medsynth_lib.data.identifiers import SHORTEST_NAME, is_dicom
from medsynth_lib.errors import InputError, hidden_name, is_harmless

PNG = b"\x89PNG\r\n\x1a\n"
#: Words shorter than this count only where they stand alone, in at least ``RUN`` readable letters.
WORD, RUN = 6, 6
#: A packed file is read up to this size: 4 GiB.
MOST = 2**32
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

    Looked into: the bytes of each file as UTF-8, Latin-1, UTF-16 and JSON escapes, whatever the case; gzip (NIfTI), zip
    (checkpoints, NumPy), compressed text in PNG, pictures inside notebooks and pages; the names of files and folders.
    Not looked into: text drawn as pixels, compressed PDF.

    Raises:
        InputError: nothing is there, or an identifier is shorter than three characters.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", where=path)
    short = sorted({what for value, what in identifiers.items() if len(value) < SHORTEST_NAME})
    if short:
        raise InputError("too short to look for", rule=f"{SHORTEST_NAME} characters", seen=", ".join(short[:8]))
    matcher, findings, files = _Matcher(identifiers), [], 0
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        relative = matcher.shown(file, file.relative_to(path).parts if file != path else (file.name,))
        findings += matcher.found(file.name.encode(), relative, "name")
        if file.is_file():
            files += 1
            for part, content in _parts(file):
                findings += matcher.found(content, relative, part)
    return findings, files


def format_findings(findings: Iterable[Finding], files: int, identifiers: int) -> str:
    """For a reader."""
    findings = list(findings)
    lines = [f"{one.count} × {one.identifier} in {one.path} ({one.part})" for one in findings]
    total = f"{files} files searched for {identifiers} identifiers: "
    return "\n".join([*lines, total + (f"{len(findings)} places hold one" if findings else "none found")])


def findings_dict(findings: Iterable[Finding], files: int, identifiers: int) -> dict:
    """For JSON."""
    return {"files": files, "identifiers": identifiers, "findings": [asdict(one) for one in findings]}


class _Matcher:
    """All identifiers in all their spellings as one pattern over bytes."""

    def __init__(self, identifiers: Mapping[str, str]):
        self.names: dict[bytes, str] = {}
        self.short: set[bytes] = set()
        for value, what in identifiers.items():
            for form in _spellings(value):
                self.names.setdefault(form.lower(), what)
                if len(value) < WORD:
                    self.short.add(form.lower())
        forms = sorted(self.names, key=len, reverse=True)
        self.pattern = re.compile(b"|".join(map(re.escape, forms)) or b"(?!)", re.IGNORECASE)

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
        keep = [not self.pattern.search(name.encode()) and (not given or is_harmless(name)) for name in names]
        return "/".join(name if kept else hidden_name(name) for name, kept in zip(names, keep, strict=True))


def _spellings(value: str) -> set[bytes]:
    forms = {value.encode(), value.encode("utf-16-le"), json.dumps(value)[1:-1].encode()}
    return forms | ({value.encode("latin-1")} if value.isascii() or all(ord(one) < 256 for one in value) else set())


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
        with_header = zlib.decompressobj(wbits=31)
        try:
            yield "gzip", with_header.decompress(content[:], MOST)
        except zlib.error:
            return
    elif start[:2] == b"PK":
        yield from _zip_members(content)
    elif start == PNG:
        yield from _png_texts(content)
    elif not re.search(rb"\0", content[:1024]):
        yield from _pictures(content)


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
