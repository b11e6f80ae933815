# SPDX-License-Identifier: MIT
"""The live view of `so1 top`: its parts, and the whole in a terminal."""
