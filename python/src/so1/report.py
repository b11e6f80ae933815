# SPDX-License-Identifier: MIT
"""A summary of a period, through pandas; nothing but `so1 report` loads this."""

import html
import sqlite3
import time
from collections.abc import Iterable

import pandas as pd

from so1.escape_controls import escape_controls

_TOP_PROCESSES = 20
_SECTIONS = {
    "host": (
        "SELECT 'all' AS name, count(*) AS ticks, avg(used_ram) AS ram_mean, max(used_ram)"
        " AS ram_max, avg(cpu_usage) AS cpu_mean, max(cpu_usage) AS cpu_max"
        " FROM metrics WHERE timestamp >= :since HAVING count(*) > 0"
    ),
    # A container that Docker had yet to name went by its id, so its latest name is what counts.
    "container": (
        "SELECT substr(max(printf('%020d', timestamp) || container_name), 21) AS name,"
        " count(*) AS ticks, avg(ram_usage) AS ram_mean, max(ram_usage) AS ram_max,"
        " avg(cpu_usage) AS cpu_mean, max(cpu_usage) AS cpu_max"
        " FROM container_totals WHERE timestamp >= :since"
        " GROUP BY container_id ORDER BY ram_max DESC, name"
    ),
    # Several processes of one name are one line: first their sum in each tick.
    "process": (
        "SELECT name, count(*) AS ticks, avg(ram) AS ram_mean, max(ram) AS ram_max,"
        " avg(cpu) AS cpu_mean, max(cpu) AS cpu_max FROM (SELECT name, timestamp,"
        " sum(ram_usage) AS ram, sum(cpu_usage) AS cpu FROM process_stats"
        " WHERE timestamp >= :since GROUP BY name, timestamp)"
        " GROUP BY name ORDER BY ram_mean DESC, name LIMIT :top"
    ),
}
_EVENTS = (
    "SELECT kind, outcome, count(*) AS count FROM events WHERE timestamp >= :since"
    " GROUP BY kind, outcome ORDER BY kind, outcome"
)
_TITLES = {"host": "Host", "container": "Containers", "process": "Processes"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
  color: #1d2430; background: #fff }
table { border-collapse: collapse; margin: 0 0 2rem }
th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #dde1e7 }
th:first-child, td:first-child { text-align: left; word-break: break-all }
img { width: 100% }
"""


class Summary:
    """What happened since a moment, read in one go."""

    def __init__(self, connection: sqlite3.Connection, since: int) -> None:
        """Read what the summary needs; since is Unix epoch milliseconds.

        Raises sqlite3.Error where it cannot be read.
        """
        self.since = since
        values = {"since": since, "top": _TOP_PROCESSES}
        self.sections = {
            name: _clean(_frame(connection, query, values)) for name, query in _SECTIONS.items()
        }
        self.events = _frame(connection, _EVENTS, values)
        self._ticks = _frame(
            connection,
            "SELECT timestamp, used_ram / 1024.0 AS ram, cpu_usage AS cpu, container_count AS"
            " containers, process_count AS processes FROM metrics WHERE timestamp >= :since"
            " ORDER BY timestamp",
            values,
        )

    @property
    def empty(self) -> bool:
        """Whether there was no tick in the period."""
        return bool(self._ticks.empty)

    def csv(self) -> str:
        """Give one table: a line each for the host, every container and the largest processes."""
        whole = pd.concat(
            [frame.assign(section=name) for name, frame in self.sections.items()],
            ignore_index=True,
        )
        whole = whole[["section", *(c for c in whole.columns if c != "section")]]
        # A spreadsheet would run a name that begins like a formula.
        whole["name"] = whole["name"].str.replace(r"^(?=[=+\-@])", "'", regex=True)
        return str(whole.to_csv(index=False, float_format="%.1f"))

    def page(self) -> str:
        """Give a web page that loads nothing from elsewhere."""
        from so1.plot import plot  # noqa: PLC0415 - heavy, and tables do without

        span = f"{_moment(self.since)} to {_moment(round(time.time() * 1000))}"
        parts = [
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>SO1</title>',
            f"<style>{_STYLE}</style></head><body><h1>SO1</h1><p>{span}</p>",
            f'<img alt="RAM, CPU, containers and processes over time" src="{plot(self._ticks)}">',
        ]
        for name, frame in self.sections.items():
            if not frame.empty:
                parts += [f"<h2>{_TITLES[name]}</h2>", _table(frame)]
        if not self.events.empty:
            parts += ["<h2>Events</h2>", _table(self.events)]
        parts.append(
            "<p>RAM in KiB, CPU in percent of one CPU (the host's: of all). Means are over"
            " the ticks in which something ran.</p></body></html>"
        )
        return "\n".join(parts)


def _frame(connection: sqlite3.Connection, query: str, values: dict[str, int]) -> pd.DataFrame:
    cursor = connection.execute(query, values)
    columns = [column[0] for column in cursor.description]
    return pd.DataFrame.from_records([tuple(row) for row in cursor], columns=columns)


def _clean(frame: pd.DataFrame) -> pd.DataFrame:
    named = frame.assign(name=frame["name"].astype("string").fillna("").map(escape_controls))
    return named.round(1)


def _table(frame: pd.DataFrame) -> str:
    return str(frame.to_html(index=False, border=0, escape=True, float_format="{:,.1f}".format))


def _moment(milliseconds: int) -> str:
    moment = pd.Timestamp(milliseconds, unit="ms", tz="UTC")
    return html.escape(moment.strftime("%Y-%m-%d %H:%M UTC"))


def rows(frame: pd.DataFrame) -> Iterable[tuple[object, ...]]:
    """Give the lines of a table as plain tuples."""
    return frame.itertuples(index=False, name=None)  # type: ignore[no-any-return]  # pandas has no types
