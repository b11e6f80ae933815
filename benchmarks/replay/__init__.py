# SPDX-License-Identifier: MIT
"""Times the dashboards' queries on a week of history: `python -m benchmarks.dashboards`."""
