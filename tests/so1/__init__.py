# SPDX-License-Identifier: MIT
"""The package, laid out as it is."""
