# SPDX-License-Identifier: MIT
"""Names that others chose, as values of labels."""

from so1.escape_controls import escape_controls

LONGEST = 120
"""Characters; a host whose names are longer than that is not to make every scrape larger."""


def label(name: str) -> str:
    """Make a name printable and short; two long ones may become the same."""
    shown = escape_controls(name[: LONGEST + 1])
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
