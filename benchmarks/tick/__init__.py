# SPDX-License-Identifier: MIT
"""Times the parts of a tick: `python -m benchmarks.tick`."""
