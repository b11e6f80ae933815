# SPDX-License-Identifier: MIT
"""What both dashboards have in common: datasource variable, links, range, annotations."""

from collections.abc import Iterable

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog import builder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import table

from generator.query import DATASOURCE, PLUGIN, SqliteQuery

Placed = tuple[builder.Builder[model.Panel], int, int]
"""A panel, its width of 24, its height."""
DATASOURCE_UID = "so1-sqlite"
TAG = "so1"


class EventsAnnotation(builder.Builder[model.AnnotationQuery]):
    """What went wrong, and what the daemon did, drawn over every graph; not routine removals.

    The SDK knows no target of a plugin in an annotation, so its JSON is completed here.
    """

    def build(self) -> model.AnnotationQuery:
        """Ask for the newest 100 events of the range that are no routine."""
        query = SqliteQuery(
            """
            SELECT timestamp / 1000.0 AS time,
                   kind || ' ' || outcome AS title,
                   COALESCE(container_name || ': ', '') || COALESCE(detail, '') AS text,
                   kind || ',' || outcome AS tags
            FROM events
            WHERE timestamp BETWEEN $__from AND $__to
                AND NOT (kind = 'remove' AND outcome IN ('done', 'planned'))
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


def others() -> dashboard.DashboardLink:
    """Link to the project's other dashboards, those that this Grafana has."""
    return (
        dashboard.DashboardLink("Other dashboards")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .icon("dashboard")
        .tooltip("Go to another dashboard of SO1")
        .keep_time(keep_time=True)
        .include_vars(include_vars=False)
    )


def empty(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """Start a dashboard of the last hour."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("20s")
        .timezone("browser")
        .link(others())
    )


def board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """Start an empty dashboard on the database."""
    return (
        empty(uid, title, description)
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Database")
            .description("The SQLite datasource that holds metrics.db")
            .type(PLUGIN)
            .current(model.VariableOption(selected=True, text="SO1", value=DATASOURCE_UID))
        )
        .annotation(EventsAnnotation())
    )


def place(onto: dashboard.Dashboard, panels: Iterable[Placed]) -> model.Dashboard:
    """Fill a dashboard with (panel, width of 24, height), row by row, numbered in order."""
    for number, (panel, width, height) in enumerate(panels, start=1):
        onto.with_panel(_Placed(panel, number, width, height))
    return onto.build()


class _Placed(builder.Builder[model.Panel]):
    def __init__(
        self, panel: builder.Builder[model.Panel], number: int, width: int, height: int
    ) -> None:
        self._panel, self._number, self._width, self._height = panel, number, width, height

    def build(self) -> model.Panel:
        panel = self._panel.build()
        if isinstance(panel.options, table.Options):
            # The SDK writes what the footer was set by before Grafana 12.
            panel.options.footer = None
        panel.id_val = self._number
        panel.grid_pos = model.GridPos(h=self._height, w=self._width, x=0, y=0)
        return panel
