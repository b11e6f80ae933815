# SPDX-License-Identifier: MIT
"""What many hosts cost the Prometheus that scrapes them: `python -m benchmarks.fleet`."""
