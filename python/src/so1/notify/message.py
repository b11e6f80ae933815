# SPDX-License-Identifier: MIT
"""A message about events, and its text."""

import hashlib
from collections.abc import Sequence

import msgspec

from so1.clock import moment
from so1.escape_controls import escape_controls

_ID_DIGITS = 32
_DOTS = "…"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What a message tells of one event: columns of the table events, cut and safe to print.

    timestamp is Unix epoch milliseconds.
    """

    id: int
    timestamp: int
    kind: str
    outcome: str
    container_name: str | None = None
    image: str | None = None
    class_: str | None = msgspec.field(name="class", default=None)
    rule: str | None = None
    detail: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Events that are told together, the oldest first.

    `id` is the same whenever the message is sent, so that a receiver can drop what it has already.
    `omitted` is how many events before the first one are only counted. `made` is Unix epoch
    seconds.
    """

    id: str
    host: str
    made: float
    omitted: int
    items: list[Item]


def make(host: str, made: float, items: Sequence[Item], omitted: int, through: int) -> Message:
    """Put a message together; `through` is the id of the last event that it stands for."""
    host = escape_controls(host)
    told = [f"{item.id} {item.timestamp}" for item in items]
    whole = "\n".join([host, f"{omitted} {through}", *told])
    digest = hashlib.sha256(whole.encode(errors="replace")).hexdigest()
    return Message(id=digest[:_ID_DIGITS], host=host, made=made, omitted=omitted, items=list(items))


def text(message: Message, limit: int) -> str:
    """Write it for people, a line for each event, in at most so many bytes.

    Each line is cut to its share of them. Raises ValueError where that is too little to say
    anything.
    """
    lines = [f"SO1 on {message.host}"]
    if message.omitted:
        lines.append(f"{message.omitted} more events, see so1 events")
    lines += [_line(item) for item in message.items]
    share = limit // len(lines) - 1
    if share <= len(_DOTS.encode()):
        raise ValueError(f"{len(lines)} lines do not fit into {limit} bytes")
    return "\n".join(_cut(line, share) for line in lines) + "\n"


def _line(item: Item) -> str:
    parts = [moment(item.timestamp / 1000), f"{item.kind} {item.outcome}:"]
    parts += [word for word in (item.container_name, item.detail) if word]
    return " ".join(parts)


def _cut(line: str, size: int) -> str:
    encoded = line.encode(errors="replace")
    if len(encoded) <= size:
        return encoded.decode()
    return encoded[: size - len(_DOTS.encode())].decode(errors="ignore") + _DOTS
