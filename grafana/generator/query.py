# SPDX-License-Identifier: MIT
"""A query as the SQLite datasource plugin stores it."""

import textwrap
from typing import Literal

from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.models.dashboard import DataSourceRef

PLUGIN = "frser-sqlite-datasource"
DATASOURCE = DataSourceRef(type_val=PLUGIN, uid="${datasource}")
Format = Literal["table", "time series"]


class SqliteQuery(variants.Dataquery):
    """The plugin turns columns listed in `timeColumns` from epoch seconds into times."""

    def __init__(self, sql: str, query_format: Format, ref_id: str) -> None:
        """Keep SQL with its indentation removed; `query_format` is the plugin's queryType."""
        self.sql = textwrap.dedent(sql).strip()
        self.query_format = query_format
        self.ref_id = ref_id

    def to_json(self) -> dict[str, object]:
        """Give what Grafana reads; its frontend fills queryText anew at each refresh."""
        return {
            "datasource": DATASOURCE,
            "refId": self.ref_id,
            "queryType": self.query_format,
            "rawQueryText": self.sql,
            "queryText": self.sql,
            "timeColumns": ["time"],
        }


class Query(builder.Builder[variants.Dataquery]):
    """What a panel's `with_target` takes."""

    def __init__(self, sql: str, query_format: Format = "table", ref_id: str = "A") -> None:
        """See SqliteQuery."""
        self._query = SqliteQuery(sql, query_format, ref_id)

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
