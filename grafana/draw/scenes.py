# SPDX-License-Identifier: MIT
"""What is drawn: which dashboard, of which host or fleet, over which time."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.dashboards import plugin
from draw import ask, fleet, hosts
from draw.hosts import DAY_MS, HOUR_MS, MINUTE_MS, Host

CAPTION = (
    "Drawn with Grafana's front-end libraries, not its server: the page's frame, the gauge's dial"
    " and the dashed lines of events are stand-ins."
)
HOSTS: Mapping[str, Host | None] = {
    "busy": Host(
        6 * HOUR_MS,
        containers="few",
        churn=0.01,
        limits=True,
        backup=(150 * MINUTE_MS, 120 * MINUTE_MS),
        trouble=True,
    ),
    "churning": Host(6 * HOUR_MS, processes=20, containers="few", churn=0.33),
    "week": Host(
        7 * DAY_MS, step=10 * MINUTE_MS, containers="few", churn=0.05, limits=True, trouble=True
    ),
    "fresh": Host(2 * 20_000, containers="few"),
    "idle": Host(HOUR_MS),
    "empty": None,
    "outage": Host(6 * HOUR_MS, containers="few", outage=(200 * MINUTE_MS, 140 * MINUTE_MS)),
    "many": Host(HOUR_MS, containers="many"),
}
"""The databases by name."""


@dataclass(frozen=True)
class Scene:
    """A dashboard over `length` milliseconds that end `later` after the database's last tick."""

    dashboard: str
    of: str
    length: int
    later: int = 7_000
    host: str = ""

    @property
    def name(self) -> str:
        """What the scene's pictures are called."""
        state = "dead" if self.later > HOUR_MS / 4 and not self.host else self.of
        return f"{self.dashboard}-{state}{f'-{self.host}' if self.host else ''}"


_LENGTHS = {
    "week": 7 * DAY_MS,
    "fresh": HOUR_MS,
    "idle": HOUR_MS,
    "empty": HOUR_MS,
    "many": HOUR_MS,
}
SCENES = (
    *(
        Scene(dashboard, of, _LENGTHS.get(of, 6 * HOUR_MS))
        for of in HOSTS
        for dashboard in ("system", "containers")
    ),
    *(Scene(name, "idle", HOUR_MS // 4, later=20 * MINUTE_MS) for name in ("system", "containers")),
    Scene("fleet", "fleet", HOUR_MS, host="srv-01"),
    Scene("fleet", "fleet", HOUR_MS, host=fleet.GONE),
    Scene("fleet", "nothing", HOUR_MS, later=2 * DAY_MS, host="srv-01"),
)
FILLED = frozenset(
    {"system-busy", "containers-busy", "system-week", "containers-week", "fleet-fleet-srv-01"}
)
"""The scenes in which no panel may be empty."""


class Sources:
    """The databases, made when they are first asked for, and the fleet's Prometheus."""

    def __init__(self, folder: Path, prometheus: ask.Prometheus, now: int) -> None:
        """Keep databases in a folder; their last ticks are at `now` (epoch ms)."""
        self._folder, self._prometheus, self._now = folder, prometheus, now

    def _database(self, scene: Scene) -> Path:
        # The age of the last tick is told by the clock, so a dead daemon's has to be old.
        path = self._folder / f"{scene.of}-{scene.later}.db"
        if not path.exists():
            hosts.write(path, HOSTS[scene.of], self._now - scene.later)
        return path

    def shown(self, scene: Scene, theme: str) -> dict[str, Any]:
        """Give what the page needs to draw a scene."""
        dashboard = plugin.load(scene.dashboard)
        if scene.host:
            for variable in dashboard["templating"]["list"]:
                if variable["name"] == "host":
                    variable["current"] = {"text": scene.host, "value": scene.host}
            end = self._now - 7_000 + scene.later
            frames = self._prometheus.frames(dashboard, end - scene.length, end)
            events: list[float] = []
        else:
            end = self._now
            database = self._database(scene)
            frames, events = ask.database(database, dashboard, end - scene.length, end)
        return {
            "dashboard": dashboard,
            "frames": frames,
            "events": events,
            "from": end - scene.length,
            "to": end,
            "theme": theme,
            "caption": CAPTION,
        }


@contextlib.contextmanager
def sources(folder: Path) -> Iterator[Sources]:
    """Make what the scenes are drawn of, up to now."""
    now = time.time_ns() // 1_000_000
    with fleet.prometheus(now // 1000 - 7) as prometheus:
        yield Sources(folder, prometheus, now)
