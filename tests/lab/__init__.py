# SPDX-License-Identifier: MIT
"""The scripts of the lab."""
