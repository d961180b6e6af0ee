"""The scripts are no package: their folder goes on the path, as it does when one of them is run."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "scripts"), str(Path(__file__).parent)]
