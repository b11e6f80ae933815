# SPDX-License-Identifier: MIT
"""What sets the controller up, lints and proves."""
