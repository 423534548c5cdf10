"""Soft-tissue-Sarcoma, PET/CT: ``python data_scripts/soft_tissue_sarcoma.py --out COHORT --patients 12``.

The same as ``medsynth fetch soft_tissue_sarcoma``; ``--help`` lists the options, ``docs/public_cohorts.md`` the terms.
"""

import sys

from medsynth_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["fetch", "soft_tissue_sarcoma", *sys.argv[1:]]))
