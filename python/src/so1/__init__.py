# SPDX-License-Identifier: MIT
"""SO1: snapshots of a Docker host, a governor for its containers, and their history."""

__version__ = "0.2.0"
