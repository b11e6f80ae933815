# SPDX-License-Identifier: MIT
"""A summary of a period, through pandas; nothing but `so1 report` loads this."""

import json
import re
import sqlite3
from collections.abc import Iterable

import pandas as pd

from so1.clock import moment
from so1.escape_controls import escape_controls

_TOP_PROCESSES = 20
_SECTIONS = {
    "host": (
        "SELECT 'all' AS name, count(*) AS ticks, avg(used_ram) AS ram_mean, max(used_ram)"
        " AS ram_max, avg(cpu_usage) AS cpu_mean, max(cpu_usage) AS cpu_max"
        " FROM metrics WHERE timestamp BETWEEN :since AND :until HAVING count(*) > 0"
    ),
    # A container that Docker had yet to name went by its id, so its latest name is what counts.
    "container": (
        "SELECT substr(max(printf('%020d', timestamp) || container_name), 21) AS name,"
        " count(*) AS ticks, avg(ram_usage) AS ram_mean, max(ram_usage) AS ram_max,"
        " avg(cpu_usage) AS cpu_mean, max(cpu_usage) AS cpu_max"
        " FROM container_totals WHERE timestamp BETWEEN :since AND :until"
        " GROUP BY container_id ORDER BY ram_max DESC, name"
    ),
    # Several processes of one name are one line: first their sum in each tick.
    "process": (
        "SELECT name, count(*) AS ticks, avg(ram) AS ram_mean, max(ram) AS ram_max,"
        " avg(cpu) AS cpu_mean, max(cpu) AS cpu_max FROM (SELECT name, timestamp,"
        " sum(ram_usage) AS ram, sum(cpu_usage) AS cpu FROM process_stats"
        " WHERE timestamp BETWEEN :since AND :until GROUP BY name, timestamp)"
        " GROUP BY name ORDER BY ram_mean DESC, name LIMIT :top"
    ),
}
_EVENTS = (
    "SELECT kind, outcome, count(*) AS count FROM events WHERE timestamp BETWEEN :since AND :until"
    " GROUP BY kind, outcome ORDER BY kind, outcome"
)
_KIB = 1024
_HEADINGS = {
    "ram_mean": "RAM mean MiB",
    "ram_max": "RAM max MiB",
    "cpu_mean": "CPU mean %",
    "cpu_max": "CPU max %",
}
# What a spreadsheet would run: at the start of a cell, or of one that it makes of a part of it.
_FORMULA = re.compile(r"(^|[;,|\t\r\n\"'])(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
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

    def __init__(self, connection: sqlite3.Connection, since: int, until: int) -> None:
        """Read what the summary needs; since and until are Unix epoch milliseconds.

        Raises sqlite3.Error where it cannot be read.
        """
        self.since = since
        self.until = until
        values = {"since": since, "until": until, "top": _TOP_PROCESSES}
        self.sections = {
            name: _clean(_frame(connection, query, values)) for name, query in _SECTIONS.items()
        }
        self.events = _frame(connection, _EVENTS, values)
        self._ticks = _frame(
            connection,
            "SELECT timestamp, used_ram / 1024.0 AS ram, cpu_usage AS cpu, container_count AS"
            " containers, process_count AS processes FROM metrics"
            " WHERE timestamp BETWEEN :since AND :until ORDER BY timestamp",
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
        whole["name"] = whole["name"].map(lambda name: _FORMULA.sub(r"\1\2'", name))
        return str(whole.to_csv(index=False, float_format="%.1f"))

    def json(self) -> str:
        """Give an object: RAM in KiB, CPU in percent of one CPU (the host's: of all)."""
        parts = {
            name: json.loads(frame.to_json(orient="records", double_precision=1))
            for name, frame in {**self.sections, "events": self.events}.items()
        }
        return json.dumps({"since": self.since, "until": self.until, **parts}, indent=2)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Give what a person reads: RAM in MiB, units in the headings."""
        shown = {}
        for name, frame in self.sections.items():
            ram = frame[["ram_mean", "ram_max"]].astype(float) / _KIB
            shown[name] = frame.assign(**ram).round(1).rename(columns=_HEADINGS)
        return shown

    def page(self) -> str:
        """Give a web page that loads nothing from elsewhere."""
        from so1.plot import plot  # noqa: PLC0415 - heavy, and tables do without

        span = f"{moment(self.since / 1000)} to {moment(self.until / 1000)}"
        parts = [
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>SO1</title>',
            f"<style>{_STYLE}</style></head><body><h1>SO1</h1><p>{span}</p>",
            f'<img alt="RAM, CPU, containers and processes over time" src="{plot(self._ticks)}">',
        ]
        for name, frame in self.tables().items():
            if not frame.empty:
                parts += [f"<h2>{_TITLES[name]}</h2>", _table(frame)]
        if not self.events.empty:
            parts += ["<h2>Events</h2>", _table(self.events)]
        parts.append(
            "<p>CPU is in percent of one CPU (the host's: of all). Means are over"
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


def rows(frame: pd.DataFrame) -> Iterable[tuple[object, ...]]:
    """Give the lines of a table as plain tuples."""
    return frame.itertuples(index=False, name=None)  # type: ignore[no-any-return]  # pandas has no types
