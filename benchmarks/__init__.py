# SPDX-License-Identifier: MIT
"""Measurements, each of which writes a page of the documents."""
