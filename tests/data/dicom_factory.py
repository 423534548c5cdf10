"""Small real DICOM series for tests, written by pydicom."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

PET_TAGS = {
    "Units": "BQML",
    "DecayCorrection": "START",
    "PatientWeight": 70.0,
    "SeriesDate": "20200102",
    "SeriesTime": "110000.00",
    "AcquisitionDate": "20200102",
    "AcquisitionTime": "110000.00",
}
STORAGE = {"CT": CTImageStorage, "PT": PositronEmissionTomographyImageStorage, "MR": MRImageStorage}


def stored_values(planes: int = 8, rows: int = 12, columns: int = 10, seed: int = 0) -> np.ndarray:
    """``(planes, rows, columns)`` int16: a body of about 1000 in air of 0, without any symmetry."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 30, (planes, rows, columns)).astype(np.int16)
    values[:, 3:, 2:-1] += 1000
    values[planes // 2 :, 4:6, 3:5] += 300
    return values


def make_series(
    modality: str = "CT",
    stored: np.ndarray | None = None,
    *,
    gap_mm: float = 3.0,
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    origin: Sequence[float] = (-20.0, -30.0, 100.0),
    **tags: object,
) -> list[Dataset]:
    """One dataset per plane, in the order of their positions; InstanceNumber runs the other way, as scanners do."""
    stored = stored_values() if stored is None else stored
    normal = np.cross(orientation[:3], orientation[3:])
    shared = {"SeriesInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid(), **tags}
    series = []
    for index, plane in enumerate(stored):
        dataset = _plane(modality, plane)
        dataset.InstanceNumber = len(stored) - index
        dataset.ImageOrientationPatient = list(orientation)
        dataset.ImagePositionPatient = [float(v) for v in np.round(origin + index * gap_mm * normal, 6)]
        for keyword, value in ({**PET_TAGS} if modality == "PT" else {}).items():
            setattr(dataset, keyword, value)
        if modality == "PT":
            dataset.RadiopharmaceuticalInformationSequence = [injection()]
        for keyword, value in shared.items():
            setattr(dataset, keyword, value)
        series.append(dataset)
    return series


def injection(**tags: object) -> Dataset:
    """350 MBq of F-18, one hour before the scan of ``PET_TAGS``."""
    drug = Dataset()
    drug.RadionuclideTotalDose = 350e6
    drug.RadionuclideHalfLife = 6588.0
    drug.RadiopharmaceuticalStartTime = "100000.00"
    for keyword, value in tags.items():
        setattr(drug, keyword, value)
    return drug


def save(datasets: Sequence[Dataset], folder: Path, names: Sequence[str] | None = None) -> Path:
    """Write each dataset as a file of its own; ``names`` default to numbers against the order of positions."""
    names = names or [f"{len(datasets) - index:04d}.dcm" for index in range(len(datasets))]
    for dataset, name in zip(datasets, names, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
    return folder


def enhanced(datasets: Sequence[Dataset]) -> Dataset:
    """The same planes as one enhanced multi-frame object."""
    whole = copy.deepcopy(datasets[0])
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    whole.NumberOfFrames = len(datasets)
    whole.PixelData = b"".join(one.PixelData for one in datasets)
    whole.SharedFunctionalGroupsSequence = [_group(PixelMeasuresSequence=_item(datasets[0], "PixelSpacing"))]
    whole.PerFrameFunctionalGroupsSequence = [
        _group(
            PlanePositionSequence=_item(one, "ImagePositionPatient"),
            PlaneOrientationSequence=_item(one, "ImageOrientationPatient"),
            PixelValueTransformationSequence=_item(one, "RescaleSlope", "RescaleIntercept"),
        )
        for one in datasets
    ]
    for keyword in (
        "PixelSpacing",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(whole, keyword)
    return whole


def _plane(modality: str, plane: np.ndarray) -> Dataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = STORAGE.get(modality, CTImageStorage)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = modality
    dataset.PatientName = "Secret^Name"
    dataset.PatientID = "HOSPITAL-4711"
    dataset.PatientBirthDate = "19500607"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PixelSpacing = [2.0, 1.5]
    dataset.SliceThickness = 3.0
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1 if plane.dtype == np.int16 else 0
    dataset.PixelData = plane.astype(plane.dtype.newbyteorder("<")).tobytes()
    if modality != "MR":
        dataset.RescaleSlope, dataset.RescaleIntercept = 1.0, (-1000.0 if modality == "CT" else 0.0)
    return dataset


def _item(dataset: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, dataset[keyword].value)
    return item


def _group(**sequences: Dataset) -> Dataset:
    group = Dataset()
    for keyword, item in sequences.items():
        setattr(group, keyword, [item])
    return group
