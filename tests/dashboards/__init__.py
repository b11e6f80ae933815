# SPDX-License-Identifier: MIT
"""The dashboards, their queries, and the role that provisions them."""
