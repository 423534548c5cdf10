"""CT with and without contrast agent (C4KC-KiTS): ``python data_scripts/contrast_ct.py --out COHORT --patients 20``.

The same as ``medsynth fetch contrast_ct``; ``--help`` lists the options, ``docs/public_cohorts.md`` the terms.
"""

import sys

from medsynth_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["fetch", "contrast_ct", *sys.argv[1:]]))
