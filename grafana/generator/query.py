# SPDX-License-Identifier: MIT
"""A query as the SQLite datasource plugin stores it."""

import textwrap

from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models.dashboard import DataSourceRef

PLUGIN = "frser-sqlite-datasource"
DATASOURCE = DataSourceRef(type_val=PLUGIN, uid="${datasource}")


class SqliteQuery(variants.Dataquery):
    """The plugin turns columns listed in `timeColumns` from epoch seconds into times.

    Its other format, «time series», fails where a query with a text column gives no row; Grafana's
    transformations make lines of a table as well, and take no row for what it is.
    """

    def __init__(self, sql: str, ref_id: str) -> None:
        """Keep SQL with its indentation removed."""
        self.sql = textwrap.dedent(sql).strip()
        self.ref_id = ref_id

    def to_json(self) -> dict[str, object]:
        """Give what Grafana reads; its frontend fills queryText anew at each refresh."""
        return {
            "datasource": DATASOURCE,
            "refId": self.ref_id,
            "queryType": "table",
            "rawQueryText": self.sql,
            "queryText": self.sql,
            "timeColumns": ["time"],
        }


class Query(builder.Builder[variants.Dataquery]):
    """What a panel's `with_target` takes."""

    def __init__(self, sql: str, ref_id: str = "A") -> None:
        """See SqliteQuery."""
        self._query = SqliteQuery(sql, ref_id)

    def build(self) -> variants.Dataquery:
        """Return the query itself."""
        return self._query


_IN_RANGE = "timestamp BETWEEN $__from AND $__to"

LAST_TICK = f"""(
    SELECT timestamp FROM metrics WHERE +{_IN_RANGE} ORDER BY id DESC LIMIT 1
)"""  # noqa: S608 - constants
"""The tick of the dashboard's time range that was written last.

The clock may have been set back, so it need not be the one with the highest timestamp. The plus
keeps SQLite from sorting the whole range: from the newest row on, the first is mostly the one.
"""

_START = "timestamp / $__interval_ms * $__interval_ms / 1000"
AVAILABLE = "COALESCE(available_ram, free_ram)"
"""RAM that programs can get; ticks from before it was measured know what is free."""
PART = "'' AS part"
"""A column that is the same in every row; see `panel.PARTED`."""

LABEL = "{} || '   '"
"""A bar's name. Grafana makes room for that with most letters, which need not be the widest."""


NEVER = "CASE WHEN NOT EXISTS (SELECT 1 FROM metrics) THEN '' END"
"""What a figure is where no tick was ever written; where one was, but not in the range, NULL."""


def once_ticked(figure: str) -> str:
    """Give a figure that is 0 without rows as not known where there is no tick."""
    return f"CASE WHEN {LAST_TICK} IS NOT NULL THEN {figure} ELSE {NEVER} END"


def latest(figure: str) -> str:
    """Ask for a column of the last tick's row, or what is computed of several."""
    figure, _, name = figure.rpartition(" AS ")
    row = f"SELECT {figure} FROM metrics WHERE timestamp = {LAST_TICK} LIMIT 1"  # noqa: S608
    return f"SELECT COALESCE(({row}), {NEVER}) AS {name}"


def counted(name: str, table: str, where: str, figure: str = "COUNT(*)") -> str:
    """Ask how many rows the last tick has; what is 0 without a row is unknown without a tick."""
    return f"""
        SELECT {once_ticked(figure)} AS "{name}"
        FROM {table}
        WHERE timestamp = {LAST_TICK} AND {where}
    """  # noqa: S608 - constants


def sampled(by: str = "timestamp") -> str:
    """Give one tick of each interval, the last, or the one in which a column was highest.

    What joins it costs the same for an hour and for a week.
    """
    return f"""
        SELECT {_START} AS time, timestamp, MAX({by}) AS most
        FROM metrics
        WHERE {_IN_RANGE}
        GROUP BY 1
    """  # noqa: S608 - constants


# A gap is what lasts three times as long as usual: ticks may be further apart than the intervals.
_APART = """
    apart AS (SELECT time, LAG(time) OVER (ORDER BY time) AS before FROM {source}),
    gap AS (
        SELECT before + 1 AS time FROM apart
        WHERE time - before
            > 3 * MAX($__interval_ms / 1000, (SELECT MIN(time - before) FROM apart))
    )
"""


def lines(source: str, *names: str) -> str:
    """Ask for a line of each name over the points of `source`, with a gap where no tick was."""
    columns = ", ".join(f'"{name}"' for name in names)
    nothing = ", ".join("NULL" for _ in names)
    return f"""
        WITH point AS ({source}),
        {_APART.format(source="point")}
        SELECT {PART}, time, {columns} FROM point
        UNION ALL
        SELECT {PART}, time, {nothing} FROM gap
        ORDER BY 2
    """  # noqa: S608 - constants


def of_metrics(**figures: str) -> str:
    """Ask for lines of aggregates of `metrics`, by name."""
    columns = ", ".join(f'{figure} AS "{name}"' for name, figure in figures.items())
    source = f"""
        SELECT {_START} AS time, {columns}
        FROM metrics
        WHERE {_IN_RANGE}
        GROUP BY 1
    """  # noqa: S608 - constants
    return lines(source, *figures)


def largest(seen: str, by: str, rest: str = "SUM") -> str:
    """Ask for lines of the largest few of many, the rest as one: their sum, or what `rest` says.

    `seen` gives time, key, name, of and value of what it joins to `tick`: key tells one from
    another, of is what its kind is called where it is none of the largest. `by` is the column of
    `metrics` that chooses the tick of an interval. What was there but once is no line. The name of
    the rest says how many they are; one alone keeps its own.
    """
    return f"""
        WITH tick AS MATERIALIZED ({sampled(by)}),
        seen AS MATERIALIZED ({seen}),
        each AS MATERIALIZED (
            SELECT key, of, COUNT(*) AS times, MAX(value) AS most FROM seen
            GROUP BY key, of
        ),
        top AS MATERIALIZED (
            SELECT key FROM each
            GROUP BY key HAVING SUM(times) > 1 OR (SELECT COUNT(*) FROM tick) = 1
            ORDER BY MAX(most) DESC
            LIMIT {LARGEST}
        ),
        rest AS MATERIALIZED (
            SELECT of, COUNT(*) AS many FROM each
            WHERE key NOT IN top
            GROUP BY of
        ),
        point AS (
            SELECT time, name, {rest}(value) AS value FROM seen
            WHERE key IN top
            GROUP BY time, name
            UNION ALL
            SELECT time, CASE many WHEN 1 THEN one ELSE '{_RESTS[rest]} ' || many || of END, value
            FROM rest JOIN (
                SELECT time, of, MIN(name) AS one, {rest}(value) AS value FROM seen
                WHERE key NOT IN top
                GROUP BY time, of
            ) USING (of)
        ),
        {_APART.format(source="tick")},
        moment AS (SELECT time FROM tick UNION ALL SELECT time FROM gap)
        SELECT time, COALESCE(name, (SELECT name FROM point LIMIT 1)) AS name, value
        FROM moment LEFT JOIN point USING (time)
        WHERE EXISTS (SELECT 1 FROM seen)
        ORDER BY 1
    """  # noqa: S608 - constants


_RESTS = {"SUM": "sum of", "MAX": "fullest of"}
LARGEST = 6
"""How many lines are drawn by name; the rest are one."""


def per_interval(**figures: str) -> str:
    """Ask how often something happened in each interval with a tick, by name."""
    zeros = ", ".join(f'0 AS "{name}"' for name in figures)
    sums = ", ".join(f'SUM("{name}") AS "{name}"' for name in figures)
    columns = ", ".join(figures.values())
    source = f"""
        SELECT {_START} AS time, {sums} FROM (
            SELECT timestamp, {zeros} FROM metrics WHERE {_IN_RANGE}
            UNION ALL
            SELECT timestamp, {columns} FROM events
            WHERE {_IN_RANGE} AND EXISTS (SELECT 1 FROM metrics WHERE {_IN_RANGE})
        )
        GROUP BY 1
    """  # noqa: S608 - constants
    return lines(source, *figures)


RANGE = "($__to - $__from)"
"""The length of the time range, in milliseconds."""


def tallied(count: str, length: str = RANGE) -> str:
    """Give a count with the time that it is of, in milliseconds: «3 in 6 h»."""
    return f"""(
        {count} || ' in ' || CASE
            WHEN {length} >= 172800000 THEN printf('%g d', ROUND({length} / 86400000.0, 1))
            WHEN {length} >= 3600000 THEN printf('%g h', ROUND({length} / 3600000.0, 1))
            ELSE printf('%g min', ROUND({length} / 60000.0))
        END
    )"""


def happened(name: str, condition: str) -> str:
    """Ask how many events of the time range meet a condition."""
    return f"""
        SELECT {once_ticked(tallied("COUNT(*)"))} AS {name} FROM events
        WHERE {_IN_RANGE} AND {condition}
    """  # noqa: S608 - constants


AGE = """
    SELECT CAST(strftime('%s', 'now') AS INTEGER)
           - (SELECT timestamp FROM metrics ORDER BY id DESC LIMIT 1) / 1000 AS age
"""
"""How long ago the last tick was, whatever the time range: whether the daemon is alive."""
