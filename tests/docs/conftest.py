"""The checks of the pages lie beside the tests, and use the generator of the settings page: both folders go on the path."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "scripts"), str(Path(__file__).parent)]
