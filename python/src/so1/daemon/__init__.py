# SPDX-License-Identifier: MIT
"""The daemon: three loops that hand each other values and never wait for each other."""
