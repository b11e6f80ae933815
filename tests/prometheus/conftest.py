# SPDX-License-Identifier: MIT
"""Where the daemon's own tests keep what these stand on too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "python"))
