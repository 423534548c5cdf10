"""Write synthetic volumes as DICOM series that any reader opens with the right place, value and meaning.

Everything is marked as made: Synthetic Data (0008,001C) is YES and Image Type starts with DERIVED\\SECONDARY. UIDs are
new but not random: 2.25 and a UUID from SHA-256 of who and what (DICOM PS3.5 B.2), so equal volumes give equal bytes.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)
from pydicom.valuerep import DSfloat

from medsynth_lib.conventions import axial_slice
from medsynth_lib.data.atomic import atomic_path
from medsynth_lib.data.suv import decayed_dose
from medsynth_lib.data.volume import Volume
from medsynth_lib.errors import InputError

STORAGE = {
    "CT": ("CT", CTImageStorage),
    "CECT": ("CT", CTImageStorage),
    "PET": ("PT", PositronEmissionTomographyImageStorage),
    "MR": ("MR", MRImageStorage),
}
#: Every synthetic study takes place in this minute; FDG was injected an hour before.
STUDY_DATE, STUDY_TIME, INJECTION_TIME = "20200101", "120000", "110000"
#: Half-life of fluorine-18 in s: 109.77 min (ENSDF, National Nuclear Data Center).
HALF_LIFE_S = 6586.2
#: Injected activity per kg of body weight: 3.7 MBq/kg (EANM guideline 2.0 allows 3 to 7 by scan time).
DOSE_BQ_PER_KG = 3.7e6


@dataclass(frozen=True)
class Subject:
    """The virtual person a series shows. ``key`` identifies; ``frame`` names the coordinate system its images share."""

    key: str
    sex: str
    weight_kg: float
    height_m: float
    frame: str = ""


@dataclass(frozen=True)
class Protocol:
    """What a header says about how an image was made."""

    thickness_mm: float
    description: str = ""
    contrast: str = ""
    te_ms: float = 0.0
    tr_ms: float = 0.0
    flip_deg: float = 90.0


def make_uid(*words: object) -> UID:
    """The UID of whatever ``words`` name: 2.25. and the UUID made of their SHA-256."""
    digest = hashlib.sha256("\0".join(map(str, ("MedSynth", *words))).encode()).digest()
    return UID(f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}")


def write_series(volume: Volume, folder: str | Path, subject: Subject, protocol: Protocol) -> Path:
    """Write a RAS+ ``volume`` (CT, CECT, PET or MR) as one file per plane in a new ``folder``, whole or not at all.

    CT and MR are stored as the nearest integers. PET is stored in Bq/mL with a RescaleSlope per plane, so that SUVbw
    comes back to 1/32767 of the plane's maximum.

    Raises:
        InputError: another modality, or planes that are unevenly spaced.
        StorageError: the disk refused, or ``folder`` holds something already.
    """
    if volume.modality not in STORAGE:
        raise InputError("only image series are written", rule=", ".join(STORAGE), seen=volume.modality)
    if volume.plane_offsets_mm is not None:
        raise InputError("unevenly spaced planes are not written", fix="resample first")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for index in range(volume.shape[2]):
            file = _plane(volume, index, subject, protocol)
            file.save_as(temporary / f"{index:04d}.dcm", enforce_file_format=True)
    return Path(folder)


def common_tags(subject: Subject, modality: str, dicom_modality: str, storage: UID, instance: UID) -> FileDataset:
    """A file with the modules every object of a study shares: patient, study, series, equipment, SOP common."""
    file = synthetic_file(storage, instance)
    file.PatientName, file.PatientID, file.PatientBirthDate = "Phantom^" + subject.key, subject.key, ""
    file.PatientSex, file.PatientWeight, file.PatientSize = subject.sex, ds(subject.weight_kg), ds(subject.height_m)
    file.PatientIdentityRemoved, file.DeidentificationMethod = "YES", "Simulated: there is no such person"
    file.StudyInstanceUID = make_uid(subject.key, "study")
    file.StudyID, file.AccessionNumber, file.ReferringPhysicianName = "1", "", ""
    file.StudyDescription = "MedSynth phantom, not for clinical use"
    file.StudyDate = file.SeriesDate = file.ContentDate = file.AcquisitionDate = STUDY_DATE
    file.StudyTime = file.SeriesTime = file.ContentTime = file.AcquisitionTime = STUDY_TIME
    file.Modality, file.SeriesDescription = dicom_modality, f"Synthetic {modality}"
    file.SeriesInstanceUID = make_uid(subject.key, modality, "series")
    file.SeriesNumber = list(("CT", "CECT", "PET", "MR", "LABELS")).index(modality) + 1
    file.FrameOfReferenceUID = make_uid(subject.frame or subject.key, "frame of reference")
    file.PositionReferenceIndicator = ""
    file.Manufacturer, file.ManufacturerModelName, file.SoftwareVersions = "MedSynth", "Digital phantom", "1"
    return file


def synthetic_file(storage: UID, instance: UID) -> FileDataset:
    """A file that says what it is, and that its content is made."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = storage, instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = make_uid("implementation")
    file = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = storage, instance
    file.SyntheticData = "YES"
    file.SpecificCharacterSet = "ISO_IR 192"
    return file


def ds(value: float) -> DSfloat:
    """A decimal string of at most 16 characters."""
    return DSfloat(float(value), auto_format=True)


def plane_geometry(volume: Volume, index: int) -> tuple[list[DSfloat], list[DSfloat], list[DSfloat]]:
    """Position and orientation (LPS) and pixel spacing of axial plane ``index`` as a radiologist sees it.

    Row 0, column 0 is the front right corner: the last voxel along x and y of the RAS+ array.
    """
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    depth = index if volume.plane_offsets_mm is None else volume.plane_offsets_mm[index] / volume.spacing_mm[2]
    corner = lps @ [volume.shape[0] - 1, volume.shape[1] - 1, depth, 1]
    x_mm, y_mm, _ = volume.spacing_mm
    along_row, along_column = -lps[:3, 0] / x_mm + 0.0, -lps[:3, 1] / y_mm + 0.0
    return (
        [ds(v) for v in corner[:3]], [ds(v) for v in (*along_row, *along_column)], [ds(y_mm), ds(x_mm)]
    )  # fmt: skip


def _plane(volume: Volume, index: int, subject: Subject, protocol: Protocol) -> FileDataset:
    dicom_modality, storage = STORAGE[volume.modality]
    instance = make_uid(subject.key, volume.modality, index)
    file = common_tags(subject, volume.modality, dicom_modality, storage, instance)
    file.InstanceNumber, file.AcquisitionNumber = index + 1, 1
    file.ImagePositionPatient, file.ImageOrientationPatient, file.PixelSpacing = plane_geometry(volume, index)
    file.SliceThickness, file.SpacingBetweenSlices = ds(protocol.thickness_mm), ds(volume.spacing_mm[2])
    file.SliceLocation = file.ImagePositionPatient[2]
    {"CT": _ct, "CECT": _ct, "PET": _pet, "MR": _mr}[volume.modality](file, volume, index, subject, protocol)
    return file


def set_pixels(file: FileDataset, stored: np.ndarray) -> None:
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.Rows, file.Columns = stored.shape
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 1
    file.PixelData = np.ascontiguousarray(stored, dtype="<i2").tobytes()


def _ct(file: FileDataset, volume: Volume, index: int, _subject: Subject, protocol: Protocol) -> None:
    file.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    file.KVP, file.RescaleIntercept, file.RescaleSlope, file.RescaleType = "120", "0", "1", "HU"
    if volume.modality == "CECT":
        file.ContrastBolusAgent = protocol.contrast or "Iodine"
    set_pixels(file, np.rint(axial_slice(volume.array, index)))


def _mr(file: FileDataset, volume: Volume, index: int, _subject: Subject, protocol: Protocol) -> None:
    file.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    file.ScanningSequence = "SE" if protocol.flip_deg == 90 else "GR"
    file.SequenceVariant, file.ScanOptions, file.MRAcquisitionType = "NONE", "", "2D"
    file.EchoTime, file.RepetitionTime, file.FlipAngle = (
        ds(one) for one in (protocol.te_ms, protocol.tr_ms, protocol.flip_deg)
    )
    file.EchoTrainLength, file.MagneticFieldStrength = 1, "1.5"
    set_pixels(file, np.rint(axial_slice(volume.array, index)))


def _pet(file: FileDataset, volume: Volume, index: int, subject: Subject, _protocol: Protocol) -> None:
    file.ImageType = ["DERIVED", "SECONDARY"]
    file.SeriesType, file.CountsSource, file.Units = ["STATIC", "IMAGE"], "EMISSION", "BQML"
    file.CorrectedImage = ["DECY", "ATTN", "SCAT", "NORM", "RAN", "DTIM"]
    file.DecayCorrection, file.CollimatorType = "START", "NONE"
    file.NumberOfSlices, file.ImageIndex = volume.shape[2], index + 1
    file.FrameReferenceTime, file.ActualFrameDuration = "0", 120000
    dose = DOSE_BQ_PER_KG * subject.weight_kg
    file.RadiopharmaceuticalInformationSequence = Sequence([_injection(dose)])
    # The inverse of suv.py: SUV 1 is the dose left at the start of the scan, spread over the body's grams.
    concentration = decayed_dose(dose, 3600, HALF_LIFE_S) / (subject.weight_kg * 1000)
    values = axial_slice(volume.array, index) * concentration
    slope = ds(max(float(values.max()) / 32767, 1e-6))
    file.RescaleIntercept, file.RescaleSlope = "0", slope
    set_pixels(file, np.rint(values / float(str(slope))))


def _injection(dose_bq: float) -> Dataset:
    drug = Dataset()
    drug.Radiopharmaceutical = "Fluorodeoxyglucose"
    drug.RadiopharmaceuticalRoute = ""
    drug.RadiopharmaceuticalStartTime = INJECTION_TIME
    drug.RadiopharmaceuticalStartDateTime = STUDY_DATE + INJECTION_TIME
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = ds(dose_bq), ds(HALF_LIFE_S)
    drug.RadionuclidePositronFraction = "0.967"
    drug.RadionuclideCodeSequence = Sequence([coded("77004003", "SCT", "^18^Fluorine")])
    drug.RadiopharmaceuticalCodeSequence = Sequence([coded("35321007", "SCT", "Fluorodeoxyglucose F^18^")])
    return drug


def coded(value: str, scheme: str, meaning: str) -> Dataset:
    """One item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
