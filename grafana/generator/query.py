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


LAST_TICK = """(
    SELECT MAX(timestamp) FROM metrics WHERE timestamp BETWEEN $__from AND $__to
)"""
"""The newest tick that the dashboard's time range holds: one index look-up."""

SAMPLED_TICKS = """(
    SELECT MAX(timestamp) AS timestamp FROM metrics
    WHERE timestamp BETWEEN $__from AND $__to
    GROUP BY timestamp / $__interval_ms
)"""
"""The last tick of each interval; what joins it costs the same for an hour and for a week."""

PART = "'' AS part"
"""A column that is the same in every row; see `panel.PARTED`."""


def once_ticked(figure: str) -> str:
    """Give a figure that is 0 without rows as NULL, which is not known, where there is no tick."""
    return f"CASE WHEN {LAST_TICK} IS NOT NULL THEN {figure} END"
