# SPDX-License-Identifier: MIT
"""metrics.db: history in SQLite."""
