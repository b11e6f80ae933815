# SPDX-License-Identifier: MIT
"""The tests: `so1` is the package's, the others are named after what they test."""
