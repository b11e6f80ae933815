# SPDX-License-Identifier: MIT
"""Telling somebody of events: a process beside the daemon, which has no network."""
