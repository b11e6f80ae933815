# SPDX-License-Identifier: MIT
"""Telling somebody of events."""
