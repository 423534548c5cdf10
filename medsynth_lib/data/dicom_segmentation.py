"""Label maps as DICOM segmentations: one label-map object (DICOM PS3.3 A.51, Supplement 243) with every class in it."""

from __future__ import annotations

from collections.abc import Sequence as Names
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from medsynth_lib.conventions import MODALITIES, axial_slice, volume_from_slices
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.dicom_writer import Subject, coded, common_tags, ds, make_uid, plane_geometry
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError

LABEL_MAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")


def write_segmentation(
    labels: Volume, path: str | Path, subject: Subject, names: Names[str], thickness_mm: float
) -> Path:
    """Write a RAS+ label map as one multi-frame segmentation, a frame per plane; ``names[number]`` is each class.

    Raises:
        InputError: a label without a name, or more than 256 of them.
        StorageError: the disk refused.
    """
    if labels.array.max() >= len(names) or len(names) > 256:
        raise InputError("every label needs a name", rule=f"0 to {len(names) - 1}", seen=int(labels.array.max()))
    file = common_tags(subject, "LABELS", "SEG", LABEL_MAP_STORAGE, make_uid(subject.key, "LABELS", 0))
    file.ImageType = ["DERIVED", "PRIMARY"]  # the only value a segmentation may have
    file.InstanceNumber, file.ContentLabel, file.ContentDescription = 1, "LABELS", "Truth of the phantom"
    file.ContentCreatorName = "MedSynth"
    file.SegmentationType, file.SegmentsOverlap, file.LossyImageCompression = "LABELMAP", "NO", "00"
    file.DeviceSerialNumber = "1"
    present = [int(number) for number in np.unique(labels.array)]
    file.SegmentSequence = Sequence([_segment(number, names[number]) for number in present])
    _add_frames(file, labels, thickness_mm)
    with atomic_path(path) as temporary:
        file.save_as(temporary, enforce_file_format=True)
    return Path(path)


def read_segmentation(path: str | Path) -> tuple[Volume, dict[int, str]]:
    """A label-map segmentation of parallel axial planes as a RAS+ volume, and the name of every label in it.

    Raises:
        InputError: not a label-map segmentation.
    """
    file = dcmread(path)
    if file.get("SegmentationType") != "LABELMAP":
        raise InputError("not a label-map segmentation", where=path, seen=file.get("SegmentationType", "no type"))
    positions = np.array([
        frame.PlanePositionSequence[0].ImagePositionPatient for frame in file.PerFrameFunctionalGroupsSequence
    ], dtype=float)  # fmt: skip
    shared = file.SharedFunctionalGroupsSequence[0]
    direction = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    measures = shared.PixelMeasuresSequence[0]
    step = np.array(measures.PixelSpacing, dtype=float)
    frames = file.pixel_array.reshape(len(positions), file.Rows, file.Columns)
    gap = positions[1] - positions[0] if len(positions) > 1 else np.array([0, 0, float(measures.SliceThickness)])
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = -direction[0] * step[1], -direction[1] * step[0], gap
    lps[:3, 3] = positions[0] - lps[:3, 0] * (file.Columns - 1) - lps[:3, 1] * (file.Rows - 1)
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in file.SegmentSequence}
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
    return Volume(volume_from_slices(frames), affine, "LABELS", MODALITIES["LABELS"]), names


def _segment(number: int, name: str) -> Dataset:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType = number, name, "AUTOMATIC"
    item.SegmentAlgorithmName = "MedSynth phantom"
    item.SegmentedPropertyCategoryCodeSequence = Sequence([coded("123037004", "SCT", "Anatomical Structure")])
    item.SegmentedPropertyTypeCodeSequence = Sequence([coded(f"LABEL{number}", "99MEDSYNTH", name)])
    return item


def _add_frames(file: FileDataset, labels: Volume, thickness_mm: float) -> None:
    depth = labels.shape[2]
    places = [plane_geometry(labels, index) for index in range(depth)]
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.SliceThickness, measures.SpacingBetweenSlices = ds(thickness_mm), ds(labels.spacing_mm[2])
    measures.PixelSpacing = places[0][2]
    orientation.ImageOrientationPatient = places[0][1]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    file.SharedFunctionalGroupsSequence = Sequence([shared])
    file.PerFrameFunctionalGroupsSequence = Sequence(
        [_frame(index, place) for index, (place, _, _) in enumerate(places)]
    )
    file.DimensionOrganizationType = "3D"
    file.DimensionOrganizationSequence, file.DimensionIndexSequence = _dimensions(file)
    file.SamplesPerPixel, file.PhotometricInterpretation, file.NumberOfFrames = 1, "MONOCHROME2", depth
    file.Rows, file.Columns = axial_slice(labels.array, 0).shape
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 8, 8, 7, 0
    frames = b"".join(axial_slice(labels.array, index).astype(np.uint8).tobytes() for index in range(depth))
    file.PixelData = frames + b"\0" * (len(frames) % 2)


def _frame(index: int, position: list) -> Dataset:
    frame, content, place = Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [index + 1]
    content.StackID, content.InStackPositionNumber = "1", index + 1
    place.ImagePositionPatient = position
    frame.FrameContentSequence, frame.PlanePositionSequence = Sequence([content]), Sequence([place])
    return frame


def _dimensions(file: FileDataset) -> tuple[Sequence, Sequence]:
    organization, pointer = Dataset(), Dataset()
    organization.DimensionOrganizationUID = make_uid(file.SOPInstanceUID, "dimensions")
    pointer.DimensionOrganizationUID = organization.DimensionOrganizationUID
    pointer.DimensionIndexPointer, pointer.FunctionalGroupPointer = 0x00209057, 0x00209111
    return Sequence([organization]), Sequence([pointer])
