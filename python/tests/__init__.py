# SPDX-License-Identifier: MIT
"""Tests of the package, laid out as it is."""
