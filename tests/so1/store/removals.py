# SPDX-License-Identifier: MIT
"""Rows of the journal of removals."""

from typing import Any

from so1.store.removal import Removal


def removal(number: int = 1, **changes: Any) -> Removal:
    """One of a low container, which was asked to stop; each number is another container."""
    fields: dict[str, Any] = {
        "container_id": f"{number:064x}",
        "container_name": f"c{number}",
        "image": "alpine",
        "class_": "low",
        "rule": "excess-low",
        "reason": "so",
        "step": "stopping",
        "timestamp": 1,
    }
    return Removal(**(fields | changes))
