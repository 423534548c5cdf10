"""Find DICOM series by their headers: any folder tree, any file names, no pixel is read."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from medsynth_lib.data import philips
from medsynth_lib.data.dicom_contrast import has_contrast
from medsynth_lib.data.tags import number, study_of, text
from medsynth_lib.errors import InputError

#: DICOM Modality -> our word; a CT with contrast agent becomes CECT. NM is kept so that it can be refused by name.
IMAGE_MODALITIES = {"CT": "CT", "PT": "PET", "MR": "MR", "NM": "NM"}
NOT_IMAGES = {"RTSTRUCT": "contours", "RTDOSE": "a dose", "RTPLAN": "a plan", "SR": "a report", "SEG": "a segmentation"}
ORDINARY_FILE = "not an image"
NOT_DICOM = {
    ".dcm": "named .dcm but without the mark of a DICOM file",
    **dict.fromkeys((".mha", ".mhd", ".nrrd", ".hdr", ".img", ".mgz"), "format not supported: convert it to NIfTI"),
}
#: Dataset keywords that describe where planes are, what their values mean, and how PET becomes SUV. Never a name.
KEYWORDS = """
    SOPClassUID SOPInstanceUID Modality PatientID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID ImageType
    ContrastBolusAgent ContrastBolusRoute ContrastBolusAgentSequence ContrastBolusAdministrationRouteSequence
    ImagePositionPatient ImageOrientationPatient PixelSpacing SpacingBetweenSlices SliceThickness Rows Columns
    NumberOfFrames SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence SamplesPerPixel
    PhotometricInterpretation BitsAllocated PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit RescaleSlope
    RescaleIntercept Units CorrectedImage AttenuationCorrectionMethod DecayCorrection SUVType PatientWeight SeriesDate
    SeriesTime AcquisitionNumber AcquisitionDate AcquisitionTime TimezoneOffsetFromUTC
    RadiopharmaceuticalInformationSequence PatientIdentityRemoved
"""
FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
#: Threads wait for the disk, not for Python; more do not help.
READERS = 8


@dataclass(frozen=True)
class Plane:
    """One image plane: a file, or one frame of a multi-frame file, whose functional groups are merged into ``tags``."""

    path: Path
    frame: int
    tags: Dataset = field(repr=False)  # PatientID is among them


@dataclass(frozen=True)
class DicomSeries:
    """The planes that share one SeriesInstanceUID, in no particular order.

    ``patient`` is a pseudonym: ``P-`` and eight hexadecimal digits of SHA-256 of PatientID. It keeps the identifier
    out of figures and checkpoints; it is no anonymisation, since whoever knows the identifier can compute it.
    """

    planes: tuple[Plane, ...]
    patient: str

    @property
    def folder(self) -> Path:
        """The deepest folder that holds all its files."""
        return Path(os.path.commonpath([plane.path.parent for plane in self.planes]))

    @property
    def modality(self) -> str:
        """CT, CECT, PET, MR or NM; of mixed files, that of the first (``read_series`` refuses the mixture)."""
        word = IMAGE_MODALITIES[text(self.planes[0].tags, "Modality")]
        return "CECT" if word == "CT" and any(has_contrast(plane.tags) for plane in self.planes) else word

    @property
    def frame_of_reference(self) -> str | None:
        """Of the first plane that has one: a screenshot among them has none."""
        return next(filter(None, (text(plane.tags, "FrameOfReferenceUID") for plane in self.planes)), None)


def scan_headers(paths: Iterable[Path]) -> tuple[list[DicomSeries], list[tuple[Path, str]]]:
    """Group DICOM files into series; also the files that are none, each with the reason."""
    paths = list(paths)
    with warnings.catch_warnings(), ThreadPoolExecutor(READERS) as pool:
        warnings.simplefilter("ignore")  # pydicom warns about each odd value; what matters is checked here
        found = list(pool.map(_read_planes, paths))
    grouped, skipped = defaultdict(list), []
    for path, planes in zip(paths, found, strict=True):
        if isinstance(planes, str):
            skipped.append((path, planes))
        else:
            grouped[text(planes[0].tags, "SeriesInstanceUID")] += planes
    return [DicomSeries(tuple(planes), _pseudonym(planes[0].tags)) for planes in grouped.values()], skipped


def encoded_as(tags: Dataset) -> UID:
    """The transfer syntax the pixels are stored in."""
    return UID(tags.file_meta.TransferSyntaxUID)


def _read_planes(path: Path) -> list[Plane] | str:
    """The planes in a file, or why there are none."""
    try:
        tags = _read_tags(path)
        return tags if isinstance(tags, str) else _planes(path, tags)
    except InputError as error:
        return "; ".join(str(error).replace("\n ", ";").split(";"))
    except Exception as error:  # a damaged header makes the parser fail in any way it likes
        return f"damaged DICOM header ({type(error).__name__})"


def _read_tags(path: Path) -> Dataset | str:
    with open(path, "rb") as file:
        if file.read(132)[128:] != b"DICM":
            return NOT_DICOM.get(path.suffix.lower(), ORDINARY_FILE)
    meta = read_file_meta_info(path)
    syntax = UID(meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))
    if syntax in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian):
        return f"transfer syntax {syntax.name} is not supported"
    tags = dcmread(path, stop_before_pixels=True, specific_tags=[*KEYWORDS.split(), *philips.TAGS])
    for element in tags.iterall():
        element.value  # noqa: B018  (converts it now, inside the caller's guard, and not in the middle of a read)
    tags.file_meta.TransferSyntaxUID = syntax
    return tags


def _planes(path: Path, tags: Dataset) -> list[Plane] | str:
    modality = text(tags, "Modality")
    if "Directory" in UID(text(tags, "SOPClassUID")).name or modality not in IMAGE_MODALITIES:
        kind = NOT_IMAGES.get(modality, "not a CT, PET or MR image")
        return f"DICOM {modality or 'without modality'}: {kind}"
    if not text(tags, "SeriesInstanceUID"):
        return "damaged DICOM header (no SeriesInstanceUID)"
    if text(tags, "Rows") == "":
        return f"DICOM {modality} without an image"
    frames = int(number(tags, "NumberOfFrames", default=1))
    _check_size(path, tags, frames)
    per_frame = tags.get("PerFrameFunctionalGroupsSequence")
    if per_frame is None and frames == 1:
        return [Plane(path, 0, tags)]
    if per_frame is None or len(per_frame) != frames:
        return f"multi-frame DICOM whose frames have no positions ({frames} frames)"
    return [Plane(path, index, _flattened(tags, index)) for index in range(frames)]


def _check_size(path: Path, tags: Dataset, frames: int) -> None:
    """A header cannot promise more pixels than its file holds, or than one image may have when it is compressed."""
    pixels = number(tags, "Rows") * number(tags, "Columns") * number(tags, "SamplesPerPixel", default=1) * frames
    promised = pixels * number(tags, "BitsAllocated") / 8
    most = 2**30 if encoded_as(tags).is_encapsulated else path.stat().st_size
    if not 0 < promised <= most or frames < 1:
        raise InputError(
            "the header promises pixels the file cannot hold", rule=f"1 to {most:,} bytes", seen=f"{promised:,.0f}"
        )


def _flattened(tags: Dataset, frame: int) -> Dataset:
    """The tags of one frame of an enhanced image: shared, then its own functional groups, laid over the file's tags."""
    flat = Dataset({tag: element for tag, element in tags.items() if element.keyword not in FUNCTIONAL_GROUPS})
    flat.file_meta = tags.file_meta
    shared = tags.get(FUNCTIONAL_GROUPS[0]) or [Dataset()]
    for groups in (shared[0], tags[FUNCTIONAL_GROUPS[1]].value[frame]):
        for group in groups:
            if group.VR == "SQ" and len(group.value):
                flat.update(group.value[0])
    return flat


def _pseudonym(tags: Dataset) -> str:
    if text(tags, "PatientIdentityRemoved") == "YES" and re.fullmatch(r"P-[0-9a-f]{8}", text(tags, "PatientID")):
        return text(tags, "PatientID")  # one of ours already: made by deidentify, or a synthetic series
    identifier = text(tags, "PatientID") or study_of(tags)
    return "P-" + hashlib.sha256(identifier.encode()).hexdigest()[:8]
