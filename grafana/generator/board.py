# SPDX-License-Identifier: MIT
"""What both dashboards have in common: datasource variable, links, range, annotations."""

from collections.abc import Iterable

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog import builder
from grafana_foundation_sdk.models import dashboard as model

from generator.query import DATASOURCE, PLUGIN, SqliteQuery

DATASOURCE_UID = "so1-sqlite"


class EventsAnnotation(builder.Builder[model.AnnotationQuery]):
    """Removals and failures, drawn over every graph.

    The SDK knows no target of a plugin in an annotation, so its JSON is completed here.
    """

    def build(self) -> model.AnnotationQuery:
        """Ask for the newest 100 events of the range: a storm of them stays readable."""
        query = SqliteQuery(
            """
            SELECT timestamp / 1000.0 AS time,
                   kind || ' ' || outcome AS title,
                   COALESCE(container_name || ': ', '') || COALESCE(detail, '') AS text,
                   kind || ',' || outcome AS tags
            FROM events
            WHERE timestamp BETWEEN $__from AND $__to
            ORDER BY timestamp DESC
            LIMIT 100
            """,
            "Events",
        )
        return _Annotation(
            name="Events", datasource=DATASOURCE, enable=True, icon_color="orange", query=query
        )


class _Annotation(model.AnnotationQuery):
    def __init__(
        self,
        *,
        name: str,
        datasource: model.DataSourceRef,
        enable: bool,
        icon_color: str,
        query: SqliteQuery,
    ) -> None:
        super().__init__(name=name, datasource=datasource, enable=enable, icon_color=icon_color)
        self._query = query

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "target": self._query.to_json()}


def board(uid: str, title: str, description: str, other: tuple[str, str]) -> dashboard.Dashboard:
    """Start an empty dashboard that links to `other` (uid, title)."""
    other_uid, other_title = other
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["so1"])
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("20s")
        .timezone("browser")
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Database")
            .description("The SQLite datasource that holds metrics.db")
            .type(PLUGIN)
            .current(model.VariableOption(selected=True, text="SO1", value=DATASOURCE_UID))
        )
        .annotation(EventsAnnotation())
        .link(
            dashboard.DashboardLink(other_title)
            .type(model.DashboardLinkType.LINK)
            .url(f"/d/{other_uid}")
            .icon("dashboard")
            .tooltip(f"Go to {other_title}")
            .keep_time(keep_time=True)
            .include_vars(include_vars=True)
        )
    )


def place(
    empty: dashboard.Dashboard, panels: Iterable[tuple[builder.Builder[model.Panel], int, int]]
) -> model.Dashboard:
    """Fill a dashboard with (panel, width of 24, height), row by row, numbered in order."""
    for number, (panel, width, height) in enumerate(panels, start=1):
        empty.with_panel(_Placed(panel, number, width, height))
    return empty.build()


class _Placed(builder.Builder[model.Panel]):
    def __init__(
        self, panel: builder.Builder[model.Panel], number: int, width: int, height: int
    ) -> None:
        self._panel, self._number, self._width, self._height = panel, number, width, height

    def build(self) -> model.Panel:
        panel = self._panel.build()
        panel.id_val = self._number
        panel.grid_pos = model.GridPos(h=self._height, w=self._width, x=0, y=0)
        return panel
