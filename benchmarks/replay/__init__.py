# SPDX-License-Identifier: MIT
"""Times `so1 replay` on thirty days of history: `python -m benchmarks.replay`."""
