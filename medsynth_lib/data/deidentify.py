"""DICOM without its patients: what is on a list of harmless tags stays, identities and dates become others.

``deid`` (a maintained library) walks each header by the recipe ``basic.deid`` and removes, at every depth, what the
recipe does not list. Around it stand the things it has not: names, UIDs and dates that map the same way in every file
of a run (keyed, so that nobody can compute them back), new file names, a second look at the result that stops a file in
which anything unlisted or any of the patient's names was left, and a report of counts, never of values.
"""

from __future__ import annotations

import functools
import json
import re
import secrets
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from medsynth_lib import __version__
from medsynth_lib.data import philips
from medsynth_lib.data.aliases import STANDARD_UID, Aliases, shifted
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.dicom_contrast import has_contrast
from medsynth_lib.data.dicom_header import IMAGE_MODALITIES, NOT_IMAGES
from medsynth_lib.data.identifiers import elements, identifiers_of, is_dicom, mentions
from medsynth_lib.data.tags import text
from medsynth_lib.data.tree import files_under
from medsynth_lib.errors import InputError

RECIPE = Path(__file__).with_name("basic.deid")
REPORT = "deidentification.json"
#: Tags every image must have, if empty (PS3.3, type 2).
EMPTY = ("PatientBirthDate", "AccessionNumber", "ReferringPhysicianName", "StudyID")
METHOD = "MedSynth {}: listed tags only; keyed UIDs and dates"


@dataclass
class Deidentification:
    """What happened to a folder, in counts: ``removed``, ``replaced`` and ``named`` (kept tags that held a name of the
    patient, and went) by keyword; ``left_out`` by reason; ``warnings``."""

    files: int = 0
    patients: int = 0
    series: int = 0
    removed: Counter = field(default_factory=Counter)
    replaced: Counter = field(default_factory=Counter)
    named: Counter = field(default_factory=Counter)
    left_out: Counter = field(default_factory=Counter)
    warnings: Counter = field(default_factory=Counter)

    def to_dict(self) -> dict:
        """Plain values for JSON, the most frequent first."""
        return {key: dict(value.most_common()) if isinstance(value, Counter) else value
                for key, value in vars(self).items()}  # fmt: skip

    def text(self) -> str:
        """For a reader."""
        lines = [f"{self.files} files of {self.patients} patients, {self.series} series"]
        for title, counts in (("removed", self.removed), ("replaced", self.replaced),
                              ("removed, as they named the patient", self.named)):  # fmt: skip
            total = f"{sum(counts.values())} values of {len(counts)} tags"
            lines.append(f"{title}: {total}" + (f": {', '.join(sorted(counts))}" if counts else ""))
        lines += [f"left out: {count} files: {reason}" for reason, count in self.left_out.most_common()]
        lines += [f"warning: {count} files: {reason}" for reason, count in self.warnings.most_common()]
        return "\n".join([*lines, "The voxels are unchanged: a face can be rebuilt from a scan of a head."])


def deidentify(
    root: str | Path,
    out: str | Path,
    *,
    key: bytes | None = None,
    keep_burned_in: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Deidentification:
    """Write the CT, PET and MR images under ``root`` without identities to the new folder ``out``, whole or not at all.

    ``OUT/P-1a2b3c4d/PET-1/0001.dcm`` and so on, with ``deidentification.json`` and ``.txt`` beside the patients.

    Args:
        key: makes the same aliases again in another run; keep it as safe as the originals. Random by default.
        keep_burned_in: keep screenshots and images that say they have text in their pixels.

    Raises:
        InputError: ``deid`` is missing, ``out`` exists, lies in ``root`` or around it, or nothing could be written.
        StorageError: the disk refused.
    """
    root, out = Path(root), Path(out)
    _check_apart(root, out)
    parser = _deid_parser()
    aliases, found = Aliases(key or secrets.token_bytes(32)), Deidentification()
    numbers: dict[tuple[str, str], str] = {}
    with atomic_path(out) as folder:
        folder.mkdir()
        for path, reason in files_under(root):
            if reason or not is_dicom(path):
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's warnings hold values
                _one_file(path, folder, parser, aliases, numbers, keep_burned_in, found)
            if found.files and found.files % 200 == 0:
                report(f"{found.files} files")
        found.patients, found.series = len({patient for patient, _ in numbers}), len(numbers)
        if not found.files:
            raise InputError(
                "no image could be de-identified", where=root,
                seen="; ".join(f"{count}: {reason}" for reason, count in found.left_out.items()) or "no DICOM files",
            )  # fmt: skip
        (folder / REPORT).write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
        (folder / Path(REPORT).with_suffix(".txt")).write_text(found.text() + "\n", encoding="utf-8")
    return found


def deidentified(tags: FileDataset, parser: Callable, aliases: Aliases) -> tuple[FileDataset, Counter, Counter]:
    """The dataset without identities; which keywords were removed, and which listed ones named the patient.

    Raises:
        InputError: something is left that the recipe does not list.
    """
    known, before, old = identifiers_of(tags), _keywords(tags), _replaceable(tags)
    patient, days, syntax = aliases.patient(tags), aliases.days(tags), _syntax(tags)
    agent = "YES" if has_contrast(tags) else ""  # what tells it, the route and the codes, does not stay
    factors = philips.factors(tags)
    parsed = parser(tags, {
        "unlisted": lambda item, field, **_: field.uid not in item["kept"],
        "patient": lambda **_: patient,
        "uid": lambda field, **_: aliases.uid(str(field.element.value)),
        "shifted": lambda field, **_: shifted(str(field.element.value or ""), days),
        "agent": lambda **_: agent,
    })  # fmt: skip
    named = _drop_named(parsed, known)
    removed = before - _keywords(parsed) - named - Counter({"private tag": len(factors) + bool(factors)})
    if agent:
        parsed.ContrastBolusAgent = agent
    _complete(parsed, syntax)
    _check_listed(parsed)
    if old & _replaceable(parsed):
        raise InputError("names, UIDs or dates were not replaced")
    philips.write_factors(parsed, factors)  # the only private tags that stay: two numbers, without which no SUV
    return parsed, removed, named


def suspect(tags: Dataset) -> str:
    """Why there may be text in the pixels; empty where nothing says so."""
    kind = UID(text(tags, "SOPClassUID")).name
    if text(tags, "BurnedInAnnotation").upper() == "YES":
        return "text is burnt into the pixels (BurnedInAnnotation)"
    if "Secondary Capture" in kind or "SCREEN SAVE" in text(tags, "ImageType").upper():
        return "a screenshot: there may be text in the pixels"
    return ""


def _one_file(path: Path, folder: Path, parser: Callable, aliases: Aliases, numbers: dict, keep: bool,
              found: Deidentification) -> None:  # fmt: skip
    try:
        tags = dcmread(path)
        refused = _not_taken(tags, keep)
        if refused:
            found.left_out[refused] += 1
            return
        series, warning = text(tags, "SeriesInstanceUID"), suspect(tags) or _told_by_deid(tags)
        result, removed, named = deidentified(tags, parser, aliases)
        patient = str(result.PatientID)
        number = numbers.setdefault((patient, series), f"{result.Modality}-{_next(numbers, patient)}")
        target = folder / patient / number
        target.mkdir(parents=True, exist_ok=True)
        result.save_as(target / f"{len(list(target.iterdir())) + 1:05d}.dcm", enforce_file_format=True)
    except InputError as error:
        found.left_out[error.what] += 1
    except (AttributeError, ValueError, TypeError, KeyError, NotImplementedError, EOFError) as error:
        found.left_out[f"a damaged header ({type(error).__name__})"] += 1
    else:
        found.files += 1
        found.removed += removed
        found.named += named
        found.replaced += Counter(one.keyword for one in elements(result) if one.keyword in _replaced())
        found.warnings += Counter([warning] if warning else [])


def _not_taken(tags: Dataset, keep_burned_in: bool) -> str:
    """Why a file is not written: what is no image is full of free text."""
    modality = text(tags, "Modality")
    if modality not in IMAGE_MODALITIES or "PixelData" not in tags:
        return f"{NOT_IMAGES.get(modality, 'not a CT, PET or MR image')}: not de-identified"
    return "" if keep_burned_in else suspect(tags)


def _next(numbers: dict, patient: str) -> int:
    return 1 + sum(one == patient for one, _ in numbers)


def _drop_named(tags: Dataset, known: dict[str, set[str]]) -> Counter:
    """Take out listed tags whose text holds a name or number of the patient; which."""
    named: Counter = Counter()
    for tag in list(tags.keys()):
        element = tags[tag]
        if element.VR == "SQ":
            for item in element.value:
                named += _drop_named(item, known)
        elif element.keyword not in _replaced() and mentions(element, known):
            named[element.keyword] += 1
            del tags[tag]
    return named


def _syntax(tags: FileDataset) -> UID:
    """How the pixels are encoded: ``deid`` empties the file header that says it."""
    return tags.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)


def _complete(tags: FileDataset, syntax: UID) -> None:
    """What must be there and says nothing, what was done, and a file header of our own."""
    for keyword in EMPTY:
        setattr(tags, keyword, "")
    tags.PatientIdentityRemoved = "YES"
    tags.DeidentificationMethod = METHOD.format(__version__)
    tags.LongitudinalTemporalInformationModified = "MODIFIED"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = tags.SOPClassUID, tags.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    tags.file_meta, tags.preamble = meta, b"\0" * 128


def _check_listed(tags: Dataset) -> None:
    """A second look, with none of ``deid``'s code: only listed, replaced or added tags are left."""
    added = {*EMPTY, "PatientIdentityRemoved", "DeidentificationMethod", "LongitudinalTemporalInformationModified"}
    strange = {one.keyword or "private" for one in elements(tags)} - _listed() - _replaced() - added
    if strange or any(one.tag.is_private for one in elements(tags)):
        raise InputError("tags are left that the recipe does not list", seen=", ".join(sorted(strange)))


def _replaceable(tags: Dataset) -> set[tuple[str, str]]:
    """Keyword and value of everything the recipe replaces, but for what stays as it is: nothing, YES, standard UIDs."""
    found = {(one.keyword, str(one.value)) for one in elements(tags) if one.keyword in _replaced()}
    return {one for one in found if one[1] not in ("", "None", "YES") and not one[1].startswith(STANDARD_UID)}


@functools.cache
def _listed() -> set[str]:
    return set(re.findall(r"^FIELD (\w+)$", RECIPE.read_text(encoding="utf-8"), re.MULTILINE))


@functools.cache
def _replaced() -> set[str]:
    return set(re.findall(r"^REPLACE (\w+) ", RECIPE.read_text(encoding="utf-8"), re.MULTILINE))


def _keywords(tags: Dataset) -> Counter:
    return Counter(one.keyword or ("private tag" if one.tag.is_private else str(one.tag)) for one in elements(tags))


def _check_apart(root: Path, out: Path) -> None:
    source, target = root.resolve(), out.resolve()
    if source == target or source in target.parents or target in source.parents:
        raise InputError(
            "the output lies in the input, or around it", where=out, rule="originals are never written to",
            fix="choose a folder elsewhere",
        )  # fmt: skip
    if out.exists():
        raise InputError("the output is already there", where=out, fix="choose a new folder, or delete it")


def _told_by_deid(tags: FileDataset) -> str:
    """What ``deid``'s own rules (CTP's, by maker and model) say about text in the pixels."""
    from deid.dicom.pixels import has_burned_pixels

    groups = {one["group"] for one in has_burned_pixels(tags, deid=_pixel_rules())["results"]}
    flagged = "blacklist" in groups or ("graylist" in groups and "whitelist" not in groups)
    return "deid's rules for this scanner say: look for text in the pixels" if flagged else ""


@functools.cache
def _pixel_rules() -> object:
    from deid.config import DeidRecipe

    return DeidRecipe("dicom")


def _deid_parser() -> Callable[[FileDataset, dict], FileDataset]:
    """``deid``'s parser with our recipe: (dataset, functions the recipe calls) → the same dataset, changed."""
    try:
        from deid.config import DeidRecipe
        from deid.dicom.fields import _get_fields_inner
        from deid.dicom.parser import DicomParser
        from deid.logger import bot
    except ImportError as error:
        raise InputError(
            "deid is not installed", rule="an optional extra", fix="pip install 'medsynth[privacy]'"
        ) from error
    bot.level = 0  # its warnings hold values
    recipe = DeidRecipe(str(RECIPE))

    def parse(tags: FileDataset, functions: dict) -> FileDataset:
        try:
            parser = DicomParser(tags, recipe=recipe, disable_skip=True)
            for name, function in functions.items():
                parser.define(name, function)
            parser.parse(remove_private=True)
            return parser.dicom
        finally:
            _get_fields_inner.cache_clear()  # or every dataset ever parsed stays in memory

    return parse
