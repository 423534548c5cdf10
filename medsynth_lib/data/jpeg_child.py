"""Decode JPEG-compressed DICOM files in a process that may crash: ``python jpeg_child.py SECONDS FILE...``.

Writes for each file one line, its element type and shape, and then its values, to standard output. Imports nothing of
ours, so that it starts quickly.
"""

import faulthandler
import sys

from pydicom import dcmread


def main(seconds: str, *paths: str) -> None:
    for path in paths:
        faulthandler.dump_traceback_later(int(seconds), exit=True)  # a file that takes longer ends this process
        dataset = dcmread(path)
        dataset.pixel_array_options(decoding_plugin="gdcm")
        stored = dataset.pixel_array
        sys.stdout.buffer.write(f"{stored.dtype.str} {' '.join(map(str, stored.shape))}\n".encode())
        sys.stdout.buffer.write(stored.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
