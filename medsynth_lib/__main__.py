"""``python -m medsynth_lib`` is ``medsynth``: what torchrun starts."""

import sys

from medsynth_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
