# SPDX-License-Identifier: MIT
"""Prometheus' alert rules."""
