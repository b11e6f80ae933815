# SPDX-License-Identifier: MIT
"""Builds the dashboards with Grafana's own SDK: `python -m generator` in `grafana/`."""
