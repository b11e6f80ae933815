# SPDX-License-Identifier: MIT
"""What the daemon tells of itself beside a sample."""

from collections.abc import Mapping, Sequence

import msgspec

from so1.config import Config
from so1.store.database import Basket
from so1.store.event import Event


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """How the daemon fares, after a sample was stored.

    `events` are those since the sample before; `dropped` counts the ticks that are missing, by
    reason, since the daemon started. `took` and `late` are seconds. `basket` is what is in the
    wastebasket, None where that cannot be read.
    """

    config: Config
    events: Sequence[Event]
    dropped: Mapping[str, int]
    database_bytes: int
    basket: Basket | None
    took: float
    late: float
