# SPDX-License-Identifier: MIT
"""The looks that panels share."""

from grafana_foundation_sdk.builders import bargauge, common, gauge, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import common as model
from grafana_foundation_sdk.models.dashboard import (
    DashboardRegexMapOptions,
    DashboardSpecialValueMapOptions,
    DataTransformerConfig,
    DynamicConfigValue,
    RegexMap,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMappingResult,
)

from generator.query import DATASOURCE, Query

NO_TICK = "No tick in this time range"


def absent(
    text: str, colour: str = "text", match: SpecialValueMatch = SpecialValueMatch.NULL
) -> SpecialValueMap:
    """Give what a figure reads where there is none: neither good nor bad unless it has a colour."""
    result = ValueMappingResult(text=text, color=colour, index=0)
    return SpecialValueMap(options=DashboardSpecialValueMapOptions(match=match, result=result))


UNKNOWN = (absent("no tick"), absent("no tick yet", match=SpecialValueMatch.EMPTY))
"""What a figure reads where there is no tick in the time range, or never was one."""
ALL_CPUS, ONE_CPU = "% of all CPUs", "% of one CPU"
"""Of what a CPU figure is a share: every title says it."""
MAX_POINTS = 300
NAMED_POINTS = 50
"""Of graphs by name: each is a tick of which all rows are read."""
MIN_INTERVAL = "20s"
LEGEND_WIDTH, AXIS_WIDTH = 274, 70
"""In pixels, the same everywhere: graphs below each other then show a moment in the same place."""

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


def width(pixels: int) -> dict[str, object]:
    """Settle how wide a column is."""
    return {"custom.width": pixels}


WRAPPED: dict[str, object] = {"custom.wrapText": True}
"""A column whose text goes on in the next line."""


def fixed(colour: str) -> dict[str, object]:
    """Settle a line's colour."""
    return {"color": {"mode": "fixed", "fixedColor": colour}}


def settled(**more: object) -> list[DynamicConfigValue]:
    """Settle what is given by its Grafana id."""
    return [DynamicConfigValue(id_val=key, value=value) for key, value in more.items()]


def named_colours(colours: dict[str, str]) -> dict[str, object]:
    """Colour a column's text by what it says."""
    mapping = {
        name: {"color": colour, "index": place}
        for place, (name, colour) in enumerate(colours.items())
    }
    return {
        "mappings": [{"type": "value", "options": mapping}],
        "custom.cellOptions": {"type": "color-text"},
    }


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
        .mappings([*UNKNOWN])
        .no_value(NO_TICK)
    )


def coloured(pattern: str, colour: str) -> RegexMap:
    """Give what matches a pattern a colour."""
    result = ValueMappingResult(color=colour, index=0)
    return RegexMap(options=DashboardRegexMapOptions(pattern=pattern, result=result))


def tally(title: str, description: str, sql: str, colour: str) -> stat.Panel:
    """How often, and in how long, with a colour from once on; see `query.tallied`."""
    return (
        number(title, description, sql)
        .unit("string")
        .text_mode(model.BigValueTextMode.VALUE)
        .mappings([coloured("/^[1-9]/", colour), *UNKNOWN])
    )


def dial(title: str, description: str, sql: str) -> gauge.Panel:
    """One figure on a dial."""
    return (
        gauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(Query(sql))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("/.*/"))
        .mappings([*UNKNOWN])
        .no_value(NO_TICK)
    )


def legend(figure: str) -> common.VizLegendOptions:
    """List the lines beside the graph, each with one figure: `max`, `sum`, `lastNotNull`."""
    return (
        common.VizLegendOptions()
        .display_mode(model.LegendDisplayMode.TABLE)
        .placement(model.LegendPlacement.RIGHT)
        .width(LEGEND_WIDTH)
        .show_legend(show_legend=True)
        .calcs([figure])
    )


def by_largest() -> common.VizLegendOptions:
    """List the lines with the largest value of each, the largest first."""
    return legend("max").sort_by("Max").sort_desc(sort_desc=True)


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
        .legend(legend("lastNotNull"))
        .axis_width(AXIS_WIDTH)
        .tooltip(
            common.VizTooltipOptions()
            .mode(model.TooltipDisplayMode.MULTI)
            .sort(model.SortOrder.DESCENDING)
        )
        .fill_opacity(10)
        .line_width(2)
        .show_points(model.VisibilityMode.AUTO)
        .point_size(4)
        .no_value(NO_TICK)
    )


def dashed(panel: timeseries.Panel, *limits: tuple[float, str]) -> timeseries.Panel:
    """Draw a dashed line at each value from which on something is near its limit, or at it."""
    return panel.thresholds(steps((None, "transparent"), *limits)).thresholds_style(
        common.GraphThresholdsStyleConfig().mode(model.GraphThresholdsStyleMode.DASHED)
    )


DASHED: dict[str, object] = {
    "custom.lineStyle": {"fill": "dash", "dash": [6, 6]},
    "custom.lineWidth": 1,
}
"""A line that is a limit, and not what was measured."""


def named_graph(title: str, description: str, sql: str) -> timeseries.Panel:
    """Lines over time; the query gives time, name and value, and names the lines by it."""
    return (
        graph(title, description, sql)
        .transformations([PIVOTED])
        .max_data_points(NAMED_POINTS)
        .fill_opacity(0)
        .legend(by_largest())
    )


def bars(title: str, description: str, sql: str) -> bargauge.Panel:
    """Draw a bar for each row of a name and a number."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(Query(sql))
        .reduce_options(common.ReduceDataOptions().values(values=True).calcs([]).fields(""))
        .orientation(model.VizOrientation.HORIZONTAL)
        .display_mode(model.BarGaugeDisplayMode.BASIC)
        .name_placement(model.BarGaugeNamePlacement.LEFT)
        .value_mode(model.BarGaugeValueMode.TEXT)
        .no_value(NO_TICK)
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
        .no_value(NO_TICK)
        # Or every cell without a value reads what the panel says where it has no row.
        .override_by_regexp("/.*/", [DynamicConfigValue(id_val="noValue", value="")])
    )
