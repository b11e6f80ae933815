# SPDX-License-Identifier: MIT
"""The two sources against each other."""
