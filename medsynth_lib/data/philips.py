"""What a count of a Philips PET is: its series are often in counts (Units CNTS), with the factors in private tags.

The block "Philips PET Private Group" holds (7053,xx00), SUVbw a count, and (7053,xx09), Bq/mL a count; 0 stands for
none. Both are of voxels rescaled as usual.

Source: QIBA's vendor-neutral SUV pseudo-code; DICOM PS3.15 section E.3.10, which lists both as safe to keep.
"""

from __future__ import annotations

import math

from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat

GROUP, CREATOR = 0x7053, "Philips PET Private Group"
#: Where the block stands in each file; a reader that takes only listed tags lists these.
TAGS = ((GROUP, 0x0010), (GROUP, 0x1000), (GROUP, 0x1009))
SUV, BQML = 0x00, 0x09


def factors(tags: Dataset) -> dict[int, float]:
    """What is there of ``SUV`` and ``BQML``, each a positive number; what is no such number counts as missing."""
    try:
        block = tags.private_block(GROUP, CREATOR)
    except KeyError:
        return {}
    found = {}
    for offset in (SUV, BQML):
        try:
            found[offset] = float(block[offset].value)
        except (KeyError, TypeError, ValueError):
            continue
    return {offset: value for offset, value in found.items() if math.isfinite(value) and value > 0}


def write_factors(tags: Dataset, found: dict[int, float]) -> None:
    """Put ``factors`` of one dataset into another, as the maker writes them."""
    for offset, value in found.items():
        tags.private_block(GROUP, CREATOR, create=True).add_new(offset, "DS", DSfloat(value, auto_format=True))
