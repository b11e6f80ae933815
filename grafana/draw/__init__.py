# SPDX-License-Identifier: MIT
"""Draws the dashboards with Grafana's own front-end libraries: `python -m draw` in `grafana/`."""
