# SPDX-License-Identifier: MIT
"""Where the host is that roles are run on."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
