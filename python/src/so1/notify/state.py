# SPDX-License-Identifier: MIT
"""What was told already, in a file that is whole at every moment."""

import os
from pathlib import Path

import msgspec

from so1.notify.events import Position
from so1.notify.message import Message


class StateError(Exception):
    """The file cannot be used; the message says what to do."""


class Pending(msgspec.Struct, frozen=True):
    """A message that may have been sent; `end` is the position when it is told."""

    message: Message
    end: Position


class State(msgspec.Struct, frozen=True):
    """How far events were told, what is being told, and when messages were sent.

    Those times are Unix epoch seconds.
    """

    position: Position
    pending: Pending | None = None
    sent: tuple[float, ...] = ()


def load(path: Path) -> State | None:
    """Read the file; None where there is none yet. Raises StateError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise StateError(
            f"{path} is damaged ({error}); delete it, and only new events are told"
        ) from error


def save(path: Path, state: State) -> None:
    """Write the file; on return it is on the disk. Raises OSError, and the old one stays."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(msgspec.json.encode(state))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
