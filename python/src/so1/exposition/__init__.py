# SPDX-License-Identifier: MIT
"""The last tick in Prometheus' exposition format, and the server that hands it out."""
