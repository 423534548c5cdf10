"""Lung-PET-CT-Dx, the data of 001: ``python data_scripts/lung_pet_ct_dx.py --dry-run``, then ``--out COHORT``.

The same as ``medsynth fetch lung_pet_ct_dx``; ``--help`` lists the options, ``docs/public_cohorts.md`` the terms.
"""

import sys

from medsynth_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["fetch", "lung_pet_ct_dx", *sys.argv[1:]]))
