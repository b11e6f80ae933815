# SPDX-License-Identifier: MIT
"""Which containers stay: a pure plan, and the act."""
