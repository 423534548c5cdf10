"""SynthRAD2023, MR and CT: ``python data_scripts/synthrad2023.py --out COHORT --subset brain``.

The same as ``medsynth fetch synthrad2023``; ``--help`` lists the options, ``docs/public_cohorts.md`` the terms.
"""

import sys

from medsynth_lib.cli import main

if __name__ == "__main__":
    sys.exit(main(["fetch", "synthrad2023", *sys.argv[1:]]))
