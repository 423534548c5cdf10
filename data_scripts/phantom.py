"""The phantom as a cohort folder: ``python data_scripts/phantom.py --out COHORT --patients 8``.

The same as ``medsynth phantom``; it stands here because every cohort of the course has its script in this folder.
"""

import sys

from medsynth_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["phantom", *sys.argv[1:]]))
