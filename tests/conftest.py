"""Fixtures every test may use."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # so that `from shared_data import shared_file` works under importlib mode
