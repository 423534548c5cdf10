"""MedSynth: synthesise one medical image from another, and judge the result honestly.

Start at :mod:`medsynth_lib.conventions` (shapes, axes, ranges, units); the layers are drawn in CONTRIBUTING.md.
"""

__version__ = "0.1.0"
