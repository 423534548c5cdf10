"""FDG-PET-CT-Lesions (AutoPET): ``python data_scripts/autopet.py --out COHORT --patients 20``; all of it is 370 GB.

The same as ``medsynth fetch autopet``; ``--help`` lists the options, ``docs/public_cohorts.md`` the terms.
"""

import sys

from medsynth_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["fetch", "autopet", *sys.argv[1:]]))
