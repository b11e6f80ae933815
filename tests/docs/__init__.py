# SPDX-License-Identifier: MIT
"""The documentation says what is there, and all of it."""
