"""Label maps as DICOM segmentations (PS3.3 A.51): one binary multi-frame object, a frame per class and plane.

The older binary kind is chosen over the newer label map (Supplement 243) because viewers and SimpleITK open it; nibabel
opens no segmentation at all.
"""

from __future__ import annotations

from collections.abc import Sequence as Names
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import SegmentationStorage

from medsynth_lib.conventions import MODALITIES, axial_slice, volume_from_slices
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.dicom_writer import Subject, coded, common_tags, ds, make_uid, plane_geometry
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError


def write_segmentation(
    labels: Volume, path: str | Path, subject: Subject, names: Names[str], thickness_mm: float
) -> Path:
    """Write a RAS+ label map as one segmentation; ``names[number]`` is each class, and segment numbers are labels.

    Raises:
        InputError: a label without a name, or more than 256 of them.
        StorageError: the disk refused.
    """
    if labels.array.max() >= len(names) or len(names) > 256:
        raise InputError("every label needs a name", rule=f"0 to {len(names) - 1}", seen=int(labels.array.max()))
    file = common_tags(subject, "LABELS", "SEG", SegmentationStorage, make_uid(subject.key, "LABELS", 0))
    file.ImageType = ["DERIVED", "PRIMARY"]  # the only value a segmentation may have
    file.InstanceNumber, file.ContentLabel, file.ContentDescription = 1, "LABELS", "Truth of the phantom"
    file.ContentCreatorName = "MedSynth"
    file.SegmentationType, file.SegmentsOverlap, file.LossyImageCompression = "BINARY", "NO", "00"
    file.DeviceSerialNumber = "1"
    file.SegmentSequence = Sequence([_segment(number, names[number]) for number in range(1, len(names))])
    _add_frames(file, labels, thickness_mm)
    with atomic_path(path) as temporary:
        file.save_as(temporary, enforce_file_format=True)
    return Path(path)


def read_segmentation(path: str | Path, labels_like: Volume) -> tuple[Volume, dict[int, str]]:
    """A segmentation as a label map on the grid of ``labels_like`` (the image it belongs to), and the classes' names.

    Raises:
        InputError: not a binary segmentation, or one on another grid.
    """
    file = dcmread(path)
    if file.get("SegmentationType") != "BINARY":
        raise InputError("not a binary segmentation", where=path, seen=file.get("SegmentationType", "no type"))
    to_voxel = np.linalg.inv(labels_like.affine)
    slices = np.zeros((labels_like.shape[2], file.Rows, file.Columns), dtype=np.uint8)
    groups = file.PerFrameFunctionalGroupsSequence
    for group, mask in zip(groups, file.pixel_array.reshape(-1, file.Rows, file.Columns), strict=True):
        x, y, z = (float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient)
        corner = (to_voxel @ [-x, -y, z, 1])[:3]
        plane = round(corner[2])
        if np.abs(corner - [file.Columns - 1, file.Rows - 1, plane]).max() > 0.01 or not 0 <= plane < len(slices):
            raise InputError("the segmentation lies on another grid", where=path, seen=f"a corner at voxel {corner}")
        slices[plane][mask > 0] = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in file.SegmentSequence}
    return Volume(volume_from_slices(slices), labels_like.affine, "LABELS", MODALITIES["LABELS"]), names


def _segment(number: int, name: str) -> Dataset:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType = number, name, "AUTOMATIC"
    item.SegmentAlgorithmName = "MedSynth phantom"
    item.SegmentedPropertyCategoryCodeSequence = Sequence([coded("123037004", "SCT", "Anatomical Structure")])
    item.SegmentedPropertyTypeCodeSequence = Sequence([coded(f"LABEL{number}", "99MEDSYNTH", name)])
    return item


def _add_frames(file: FileDataset, labels: Volume, thickness_mm: float) -> None:
    planes = [axial_slice(labels.array, index) for index in range(labels.shape[2])]
    # Plane by plane: GDCM, and so SimpleITK, finds the spacing only in frames that rise.
    frames = [(int(label), k) for k, plane in enumerate(planes) for label in np.unique(plane) if label]
    places = [plane_geometry(labels, index) for index in range(len(planes))]
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.SliceThickness, measures.SpacingBetweenSlices = ds(thickness_mm), ds(labels.spacing_mm[2])
    measures.PixelSpacing = places[0][2]
    orientation.ImageOrientationPatient = places[0][1]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    file.SharedFunctionalGroupsSequence = Sequence([shared])
    file.PerFrameFunctionalGroupsSequence = Sequence([_frame(label, k, places[k][0]) for label, k in frames])
    file.DimensionOrganizationSequence, file.DimensionIndexSequence = _dimensions(file)
    file.SamplesPerPixel, file.PhotometricInterpretation, file.NumberOfFrames = 1, "MONOCHROME2", len(frames)
    file.Rows, file.Columns = planes[0].shape
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 1, 1, 0, 0
    masks = np.stack([planes[k] == label for label, k in frames])
    file.PixelData = pack_bits(masks)


def _frame(label: int, plane: int, position: list) -> Dataset:
    frame, content, place, segment = Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [plane + 1, label]
    place.ImagePositionPatient = position
    segment.ReferencedSegmentNumber = label
    frame.FrameContentSequence, frame.PlanePositionSequence = Sequence([content]), Sequence([place])
    frame.SegmentIdentificationSequence = Sequence([segment])
    return frame


def _dimensions(file: FileDataset) -> tuple[Sequence, Sequence]:
    """Frames are ordered by position, then by segment: (tag, functional group) of each."""
    organization, uid = Dataset(), make_uid(file.SOPInstanceUID, "dimensions")
    organization.DimensionOrganizationUID = uid
    pointers = []
    for tag, group in ((0x00200032, 0x00209113), (0x0062000B, 0x0062000A)):
        pointer = Dataset()
        pointer.DimensionOrganizationUID = uid
        pointer.DimensionIndexPointer, pointer.FunctionalGroupPointer = tag, group
        pointers.append(pointer)
    return Sequence([organization]), Sequence(pointers)
