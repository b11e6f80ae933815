# SPDX-License-Identifier: MIT
"""What tests of several folders stand on."""
