# SPDX-License-Identifier: MIT
"""Many hosts."""
