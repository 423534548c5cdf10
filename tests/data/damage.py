"""Ways in which inputs arrive damaged. Each takes a folder with one good image in it, and a random generator."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import generate_uid

Damage = Callable[[Path, np.random.Generator], None]
#: Not how plain pixels are stored: JPEG lossless, JPEG-LS, JPEG 2000, RLE, deflated, big endian, unknown.
FALSE_SYNTAXES = ["1.2.840.10008.1.2." + end for end in ("4.70", "4.80", "4.90", "5", "1.99", "2", "4.999")]
NUMBER_TAGS = {
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
    "PatientWeight": 1,
}
TAGS = [
    *NUMBER_TAGS,
    "Modality",
    "SeriesInstanceUID",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PixelData",
    "Units",
    "DecayCorrection",
    "SeriesTime",
    "RadiopharmaceuticalInformationSequence",
    "SOPClassUID",
    "PatientID",
]


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def some(folder: Path, rng: np.random.Generator) -> list[Path]:
    """One file, or all of them."""
    found = files(folder)
    return found if rng.random() < 0.4 else [found[rng.integers(len(found))]]


def flip(path: Path, rng: np.random.Generator, first: int, last: int) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.integers(1, 30)):
        content[rng.integers(min(first, len(content) - 1), min(last, len(content)))] ^= 1 << rng.integers(8)
    path.write_bytes(content)


def truncated(folder, rng):
    for path in some(folder, rng):
        path.write_bytes(path.read_bytes()[: rng.integers(path.stat().st_size)])


def header_bits_flipped(folder, rng):
    for path in some(folder, rng):
        flip(path, rng, 0, 1200)


def any_bits_flipped(folder, rng):
    for path in some(folder, rng):
        flip(path, rng, 0, path.stat().st_size)


def zero_bytes(folder, rng):
    for path in some(folder, rng):
        path.write_bytes(b"")


def text_inside(folder, rng):
    for path in some(folder, rng):
        path.write_text("Dear colleague, please find the images attached.\n" * 20)


def random_bytes(folder, rng):
    for path in some(folder, rng):
        path.write_bytes(rng.bytes(5000))


def random_after_the_mark(folder, rng):
    for path in some(folder, rng):
        path.write_bytes(path.read_bytes()[: rng.integers(132, 700)] + rng.bytes(5000))


def empty_folder(folder, rng):
    for path in files(folder):
        path.unlink()


def odd_neighbours(folder, rng):
    """A loop of links, a dangling link, pipes that would wait for ever, a damaged archive, a damaged description."""
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "dangling.dcm").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.nii.gz")
    os.mkfifo(folder / "pipe")
    (folder / "scan.npz").write_bytes(b"PK\x03\x04" + rng.bytes(300))
    (folder / "cohort.json").write_text('{"patients": ["p", 3' if rng.random() < 0.5 else '{"patients": ["nobody"]}')


# DICOM


def change_tags(folder, rng, change, everywhere=None):
    found = files(folder) if everywhere or (everywhere is None and rng.random() < 0.5) else some(folder, rng)[:1]
    for path in found:
        dataset = dcmread(path)
        change(dataset)
        dataset.save_as(path)


def tag_missing(folder, rng):
    tag = TAGS[rng.integers(len(TAGS))]
    change_tags(folder, rng, lambda dataset: dataset.pop(tag, None))


def number_damaged(folder, rng):
    tag = list(NUMBER_TAGS)[rng.integers(len(NUMBER_TAGS))]
    text = rng.choice([b"nan", b"inf", b"1e39", b"-1", b"0", b"abc", b"1\\2\\3\\4", b"9" * 40, b"\xff\xfe"])
    content = text if rng.random() < 0.5 else b"\\".join([text] * NUMBER_TAGS[tag])

    def change(dataset):
        from pydicom.dataelem import RawDataElement
        from pydicom.tag import Tag

        value = content + b" " * (len(content) % 2)
        dataset._dict[Tag(tag)] = RawDataElement(Tag(tag), "DS", len(value), value, 0, False, True)

    change_tags(folder, rng, change)


def huge_dimensions(folder, rng):
    def change(dataset):
        dataset.Rows = dataset.Columns = 65535
        if rng.random() < 0.5:
            dataset.NumberOfFrames = 2**31 - 1

    change_tags(folder, rng, change)


def false_syntax(folder, rng):
    syntax = FALSE_SYNTAXES[rng.integers(len(FALSE_SYNTAXES))]
    for path in some(folder, rng):
        content = path.read_bytes()
        where = content.index(b"1.2.840.10008.1.2", content.index(b"\x02\x00\x10\x00"))
        size = struct.unpack("<H", content[where - 2 : where])[0]
        path.write_bytes(content[:where] + syntax.encode()[:size].ljust(size, b"\0") + content[where + size :])


def compressed_damaged(folder, rng):
    syntax = FALSE_SYNTAXES[rng.choice([1, 3])]
    change_tags(folder, rng, lambda dataset: dataset.compress(syntax, generate_instance_uid=False), everywhere=True)
    for path in some(folder, rng):
        flip(path, rng, path.stat().st_size - 300, path.stat().st_size)


def deflate_bomb(folder, rng):
    path = files(folder)[0]
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    dataset.save_as(path)
    packer = zlib.compressobj(wbits=-15)
    path.write_bytes(path.read_bytes()[:400] + packer.compress(bytes(200_000_000)) + packer.flush())


def wrong_modality(folder, rng):
    word = rng.choice(["CT", "PT", "MR", "NM", "XA", "RTSTRUCT", "ct", "SEG", "SR"])
    change_tags(folder, rng, lambda dataset: setattr(dataset, "Modality", str(word)))


def mixed_series(folder, rng):
    uid = generate_uid(entropy_srcs=["mixed"])
    word = rng.choice(["PixelSpacing", "ImageOrientationPatient", "FrameOfReferenceUID", "ImagePositionPatient"])
    value = {"PixelSpacing": [3, 3], "ImageOrientationPatient": [0, 1, 0, 0, 0, -1], "FrameOfReferenceUID": uid}
    for path in files(folder)[::2]:
        dataset = dcmread(path)
        setattr(dataset, str(word), value.get(str(word), [1, 2, 3]))
        dataset.save_as(path)


def planes_missing(folder, rng):
    found = files(folder)
    for path in found[2 : rng.integers(4, len(found))]:
        path.unlink()


def endless_nesting(folder, rng):
    """Sequences in sequences, thousands deep."""
    path = files(folder)[0]
    opening = b"\x54\x00\x16\x00SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    content = path.read_bytes()
    where = content.index(b"\x08\x00\x05\x00") if b"\x08\x00\x05\x00" in content else content.index(b"\x08\x00\x08\x00")
    path.write_bytes(content[:where] + opening * 3000 + content[where:])


# NIfTI


def rewritten(folder: Path, change: Callable[[bytearray], bytes]) -> None:
    path = files(folder)[0]
    content = path.read_bytes()
    packed = content[:2] == b"\x1f\x8b"
    content = change(bytearray(gzip.decompress(content) if packed else content))
    path.write_bytes(gzip.compress(content, 1) if packed else content)


def nifti_header_flipped(folder, rng):
    def change(content):
        for _ in range(rng.integers(1, 12)):
            content[rng.integers(352)] ^= 1 << rng.integers(8)
        return content

    rewritten(folder, change)


def nifti_field_damaged(folder, rng):
    """Dimensions, element type, voxel sizes, start of data, scaling and the affine, each with senseless values."""
    odd = [-1, 0, 7, 32767]
    odd_floats = [0.0, -1.0, np.nan, np.inf, 1e30]
    fields = [(40, "<h", odd), (42 + 2 * rng.integers(3), "<h", odd), (70, "<h", [0, 1, 128, 1536, 999])]
    fields += [(offset, "<f", odd_floats) for offset in (80, 108, 112, 116, 280, 284, 300, 320)]
    offset, kind, values = fields[rng.integers(len(fields))]

    def change(content):
        struct.pack_into(kind, content, offset, values[rng.integers(len(values))])
        return content

    rewritten(folder, change)


def nifti_huge(folder, rng):
    def change(content):
        struct.pack_into("<8h", content, 40, 3, 30000, 30000, 30000, 1, 1, 1, 1)
        return content[: rng.integers(352, len(content))]

    rewritten(folder, change)


def nifti_bomb(folder, rng):
    rewritten(folder, lambda content: bytes(content) + bytes(60_000_000))


def nifti_not_finite(folder, rng):
    def change(content):
        struct.pack_into("<h", content, 70, 16)
        struct.pack_into("<h", content, 72, 32)
        size = int(np.prod(struct.unpack_from("<3h", content, 42)))
        values = np.full(size, -500, "<f4")
        values[rng.integers(size)] = rng.choice([np.nan, np.inf, -np.inf])
        return bytes(content[:352]) + values.tobytes()

    rewritten(folder, change)


def nifti_other_name(folder, rng):
    path = files(folder)[0]
    ending = ".nii.gz" if path.name.endswith(".gz") else ".nii"
    path.rename(folder / (str(rng.choice(["PET", "LABELS", "CT", "MR", "cect", "ct_pet", "image", "x"])) + ending))


def nifti_packed_twice(folder, rng):
    path = files(folder)[0]
    path.write_bytes(gzip.compress(path.read_bytes()))


ANY: list[Damage] = [
    truncated,
    header_bits_flipped,
    any_bits_flipped,
    zero_bytes,
    text_inside,
    random_bytes,
    empty_folder,
    odd_neighbours,
]
DICOM: list[Damage] = [
    header_bits_flipped,
    random_after_the_mark,
    tag_missing,
    number_damaged,
    huge_dimensions,
    false_syntax,
    compressed_damaged,
    deflate_bomb,
    wrong_modality,
    mixed_series,
    planes_missing,
    endless_nesting,
    tag_missing,
    number_damaged,
]
NIFTI: list[Damage] = [
    nifti_header_flipped,
    nifti_field_damaged,
    nifti_huge,
    nifti_bomb,
    nifti_not_finite,
    nifti_other_name,
    nifti_packed_twice,
]
