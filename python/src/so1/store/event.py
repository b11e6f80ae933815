# SPDX-License-Identifier: MIT
"""Something the daemon did, refused or could not do."""

from typing import Literal

import msgspec

Kind = Literal[
    "remove",
    "trash",
    "undo",
    "governor",
    "docker",
    "database",
    "reader",
    "clock",
    "source",
    "config",
    "daemon",
    "metrics",
    "limits",
    "blind",
    "cgroups",
    "container",
    "exit",
]
Outcome = Literal["done", "planned", "refused", "failed"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table events.

    timestamp is Unix epoch milliseconds, ram_usage KiB, cpu_usage percent of one CPU; detail is one
    sentence, recreate the command line that would bring the container back.
    """

    timestamp: int
    kind: Kind
    outcome: Outcome
    detail: str
    container_id: str | None = None
    container_name: str | None = None
    image: str | None = None
    class_: str | None = None
    ram_usage: int | None = None
    cpu_usage: float | None = None
    rule: str | None = None
    recreate: str | None = None
