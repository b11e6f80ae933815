# SPDX-License-Identifier: MIT
"""What becomes of containers, from the engine's events: ends, OOM kills, health, crash loops.

Pure: the time is handed in, and what is told comes back.
"""

from collections import deque

import msgspec

from so1.docker_engine import Happened
from so1.store.event import Event

_SOON = 60.0
"""Seconds: what ends within them after its start has ended soon; what outlives them has not."""
_LOOP = 3
"""So many times that it ended soon, one after the other, are a crash loop."""
_TOLD_MAX = 30
"""Events of containers told in a minute; the rest is one that says how many they were."""
_FORGOTTEN = 3600.0


class _Life(msgspec.Struct):
    """One container's history; times in seconds on CLOCK_MONOTONIC."""

    touched: float
    started: float | None = None
    asked_to_end: bool = False
    oom: bool = False
    unhealthy: bool = False
    soon: deque[float] = msgspec.field(default_factory=deque)
    looping: bool = False


class Lifecycle:
    """Remembers what happened to each container, for as long as something does."""

    def __init__(self) -> None:
        """Begin without a history: containers that run by now have no start."""
        self._lives: dict[str, _Life] = {}
        self._told: deque[float] = deque()
        self._untold = 0

    def take(self, happened: Happened, now: float) -> list[Event]:
        """Take one of the engine's events in, at `now` on CLOCK_MONOTONIC; gives ours."""
        life = self._lives.setdefault(happened.container_id, _Life(now))
        life.touched = now
        match happened.action:
            case "start":
                life.started, life.asked_to_end, life.oom = now, False, False
            case "kill":
                # Somebody asked for it: the end that follows is no news.
                life.asked_to_end = True
            case "oom":
                if not life.oom:
                    life.oom = True
                    return self._tell(
                        happened, "failed", "It ran out of memory: the kernel kills in it.", now
                    )
            case "die":
                return self._ended(life, happened, now)
            case "health_status: unhealthy" if not life.unhealthy:
                life.unhealthy = True
                return self._tell(happened, "failed", "Its health check fails.", now)
            case "health_status: healthy" if life.unhealthy:
                life.unhealthy = False
                return self._tell(happened, "done", "Its health check succeeds again.", now)
            case "destroy":
                del self._lives[happened.container_id]
        return []

    def pass_time(self, now: float) -> list[str]:
        """Forget what is long over; gives the ids whose crash loop has ended."""
        calm = []
        for id_, life in list(self._lives.items()):
            since = life.touched if life.started is None else max(life.started, life.touched)
            if life.looping and now - since > _SOON:
                life.looping = False
                life.soon.clear()
                calm.append(id_)
            if now - life.touched > _FORGOTTEN and not life.unhealthy:
                del self._lives[id_]
        return calm

    def looping(self, container_id: str) -> bool:
        """Whether a container ends again soon after every start."""
        life = self._lives.get(container_id)
        return life is not None and life.looping

    def _ended(self, life: _Life, happened: Happened, now: float) -> list[Event]:
        if life.asked_to_end:
            life.soon.clear()
            life.looping = False
            return []
        ran = None if life.started is None else now - life.started
        code = happened.exit_code
        how = f"with exit code {code}" if code is not None else "without an exit code"
        if ran is None or ran > _SOON:
            life.soon.clear()
        else:
            life.soon.append(now)
        if life.looping:
            return []
        if len(life.soon) >= _LOOP:
            life.looping = True
            over = now - life.soon[0] + (ran or 0)
            detail = (
                f"It ends again soon after every start: {len(life.soon)} times within"
                f" {over:.0f} s, the last time {how}."
            )
            return self._tell(happened, "failed", detail, now)
        if code == 0:
            return []
        killed = ", after the kernel killed in it for want of memory" if life.oom else ""
        return self._tell(happened, "failed", f"It ended {how}{killed}.", now)

    def _tell(self, happened: Happened, outcome: str, detail: str, now: float) -> list[Event]:
        while self._told and now - self._told[0] > _SOON:
            self._told.popleft()
        if len(self._told) >= _TOLD_MAX:
            self._untold += 1
            return []
        told = []
        if self._untold:
            told.append(
                Event(
                    timestamp=happened.time_ns // 1_000_000,
                    kind="container",
                    outcome="failed",
                    detail=f"{self._untold} more events of containers were not told one by one.",
                )
            )
            self._untold = 0
        self._told.append(now)
        told.append(
            Event(
                timestamp=happened.time_ns // 1_000_000,
                kind="container",
                outcome="failed" if outcome == "failed" else "done",
                detail=detail,
                container_id=happened.container_id,
                container_name=happened.name,
                image=happened.image,
            )
        )
        return told
