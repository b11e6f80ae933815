# SPDX-License-Identifier: MIT
"""The loop that keeps the list of containers, from the engine's event stream.

An event that changes the list has it read again; once a minute it is read in any case. The stream
is asked for some seconds at a time, so an engine that hangs shows, and everybody knows how old its
word is.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec.structs import replace

from so1.daemon.conditions import Conditions
from so1.daemon.lifecycle import Lifecycle
from so1.daemon.outbox import Outbox
from so1.docker_engine import Happened
from so1.model import Container
from so1.sample import Word
from so1.store.event import Event

_log = logging.getLogger(__name__)
_RECONCILE = 60.0
"""Seconds after which the list is read whatever the stream says."""
_LISTEN = 10
"""Seconds for which the stream is asked at a time."""
_PAUSE = 0.5
"""Seconds between two readings of the list: many containers that start at once are one."""
_AGAIN = 1.0
"""Seconds after which an engine that did not answer is asked again."""
_CHANGES = ("start", "die", "destroy", "rename", "update", "pause", "unpause", "health_status")
_REMEMBERED = 256
"""Events by which a stream that begins anew is told from one that goes on."""


class Engine(Protocol):
    """What the follower needs of the engine; each may raise anything, in one sentence."""

    def running(self) -> list[Container]:
        """List the running containers, each with its first process."""

    def events(self, since_ns: int, seconds: int) -> Iterable[Happened]:
        """Give what happened to containers since then, and what does for so many seconds."""


class Follower:
    """Keeps what the engine said last in `word`; any thread may look at it."""

    def __init__(
        self,
        engine: Engine,
        outbox: Outbox,
        conditions: Conditions,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin without a word; `clock` gives Unix epoch seconds."""
        self.word = Word()
        self.heard = threading.Event()
        """Set when the engine was asked for the first time, whatever came of it."""
        self._engine = engine
        self._outbox = outbox
        self._conditions = conditions
        self._clock = clock
        self._lifecycle = Lifecycle()
        self._ending = threading.Event()
        self._wanted = threading.Event()
        self._names: dict[str, tuple[str, str]] = {}
        self._since_ns = round(clock() * 1e9)
        self._seen: deque[tuple[int, str, str]] = deque(maxlen=_REMEMBERED)
        self._listed_at = -_RECONCILE

    def stop(self) -> None:
        """Begin nothing further."""
        self._ending.set()

    def ask_anew(self) -> None:
        """Read the list at the next chance, as the engine may be another one."""
        self._wanted.set()

    def run(self) -> None:
        """Follow the engine until `stop`."""
        while not self._ending.is_set():
            self._ending.wait(0.0 if self.step() else _AGAIN)

    def step(self, seconds: int = _LISTEN) -> bool:
        """Read the list where that is due, and the stream for a while; False where that failed."""
        try:
            if self._wanted.is_set() or time.monotonic() - self._listed_at >= _RECONCILE:
                self._wanted.clear()
                self._list()
            self.heard.set()
            self._listen(seconds)
        except Exception as error:  # noqa: BLE001 - metrics go on, whatever Docker does
            trouble = f"Docker does not answer: {error}"
            self._wanted.set()
            self._conditions.begins("docker", trouble)
            self.word = replace(self.word, trouble=trouble)
            self.heard.set()
            return False
        self._heard()
        return True

    def _list(self) -> None:
        self._say(self._lifecycle.pass_time(time.monotonic()))
        listed = self._engine.running()
        self._listed_at = time.monotonic()
        self._names = {c.id: (c.name, c.image) for c in listed}
        self.word = Word(self._marked(listed), self._listed_at)

    def _listen(self, seconds: int) -> None:
        # A clock that was set back must not make it wait for what it has seen already.
        since = min(self._since_ns, round(self._clock() * 1e9))
        for happened in self._engine.events(since, seconds):
            key = (happened.time_ns, happened.container_id, happened.action)
            if key not in self._seen:
                self._seen.append(key)
                self._since_ns = happened.time_ns
                self._take(happened)
                if happened.action.startswith(_CHANGES):
                    self._wanted.set()
            if self._ending.is_set():
                return
            if self._wanted.is_set():
                self._ending.wait(max(0.0, self._listed_at + _PAUSE - time.monotonic()))
                return

    def _take(self, happened: Happened) -> None:
        for event in self._lifecycle.take(happened, time.monotonic()):
            self._put(event)

    def _put(self, event: Event) -> None:
        _log.info("%s %s: %s", event.kind, event.container_name or "", event.detail)
        self._outbox.put(event)

    def _say(self, calm: Sequence[str]) -> None:
        for id_ in calm:
            if id_ in self._names:
                name, image = self._names[id_]
                self._put(
                    Event(
                        timestamp=round(self._clock() * 1000),
                        kind="container",
                        outcome="done",
                        detail="It has run for a minute: it ends no more after every start.",
                        container_id=id_,
                        container_name=name,
                        image=image,
                    )
                )

    def _heard(self) -> None:
        """Note that the engine has answered just now, the list and the stream."""
        self._conditions.over("docker", "Docker answers again.")
        self.word = Word(self._marked(self.word.containers), time.monotonic())

    def _marked(self, containers: Iterable[Container]) -> tuple[Container, ...]:
        looping = self._lifecycle.looping
        return tuple(
            replace(c, looping=looping(c.id)) if c.looping != looping(c.id) else c
            for c in containers
        )
