# SPDX-License-Identifier: MIT
"""The looks that panels share."""

from grafana_foundation_sdk.builders import barchart, common, gauge, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import common as model
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
)

from generator.query import DATASOURCE, Query

WAITING = "Waiting for the first tick of the so1 daemon"
MAX_POINTS = 300
MIN_INTERVAL = "20s"

PARTED = DataTransformerConfig(
    id_val="partitionByValues",
    options={"fields": ["part"], "keepFields": False, "naming": {"asLabels": False}},
)
"""Makes a frame of the rows, and none of no row.

Of a frame without rows Grafana 12 draws empty axes or a bare header; without a frame it shows
the panel's noValue.
"""

PIVOTED = DataTransformerConfig(
    id_val="groupingToMatrix",
    options={
        "rowField": "time",
        "columnField": "name",
        "valueField": "value",
        "emptyValue": "null",
    },
)
"""Makes a line of each name, with a gap where it has no value; no row makes no line."""


def steps(*limits: tuple[float | None, str]) -> ThresholdsConfig:
    """Thresholds from (from which value on, colour); the first starts at None."""
    return (
        ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in limits])
    )


def unit(name: str, **more: object) -> list[DynamicConfigValue]:
    """Settle one column: its unit, and what else is given by its Grafana id."""
    return [
        DynamicConfigValue(id_val="unit", value=name),
        *(DynamicConfigValue(id_val=key, value=value) for key, value in more.items()),
    ]


def number(title: str, description: str, sql: str) -> stat.Panel:
    """One large figure, the single cell of a query."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(Query(sql))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("/.*/"))
        .graph_mode(model.BigValueGraphMode.NONE)
        .color_mode(model.BigValueColorMode.VALUE)
        .no_value(WAITING)
    )


def dial(title: str, description: str, sql: str) -> gauge.Panel:
    """One figure on a dial."""
    return (
        gauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(Query(sql))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value(WAITING)
    )


def graph(title: str, description: str, sql: str) -> timeseries.Panel:
    """Lines over time; the query gives PART, time, and a column for each line."""
    return (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(Query(sql))
        .with_transformation(PARTED)
        .max_data_points(MAX_POINTS)
        .interval(MIN_INTERVAL)
        .legend(
            common.VizLegendOptions()
            .display_mode(model.LegendDisplayMode.LIST)
            .placement(model.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(model.TooltipDisplayMode.MULTI)
            .sort(model.SortOrder.DESCENDING)
        )
        .fill_opacity(10)
        .line_width(2)
        .show_points(model.VisibilityMode.NEVER)
        .no_value(WAITING)
    )


def named_graph(title: str, description: str, sql: str) -> timeseries.Panel:
    """Lines over time; the query gives time, name and value, and names the lines by it."""
    return graph(title, description, sql).transformations([PIVOTED])


def bars(title: str, description: str, sql: str, x_field: str) -> barchart.Panel:
    """Draw a bar for each row, named by a column."""
    return (
        barchart.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(Query(sql))
        .x_field(x_field)
        .orientation(model.VizOrientation.HORIZONTAL)
        .show_value(model.VisibilityMode.AUTO)
        .legend(
            common.VizLegendOptions()
            .display_mode(model.LegendDisplayMode.LIST)
            .placement(model.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(model.TooltipDisplayMode.SINGLE)
            .sort(model.SortOrder.NONE)
        )
        .fill_opacity(80)
        .no_value(WAITING)
    )


def rows(title: str, description: str, sql: str) -> table.Panel:
    """Show the rows of a query, as they are, without its column PART."""
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(Query(sql))
        .with_transformation(PARTED)
        .show_header(show_header=True)
        .cell_height(model.TableCellHeight.SM)
        .no_value(WAITING)
    )
