"""What all screens share: data sources, words and colours of outcomes, variables, markers, and small builders.

Widths are of Grafana's 24 columns; a chart is never narrower than 6, which is 300 px on a screen of 1,280.
Colours are Grafana's names, which it draws for light and dark screens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import text as text_model

from guichets.outcomes import Outcome

PROMETHEUS = model.DataSourceRef("prometheus", "guichets-prometheus")
POSTGRES = model.DataSourceRef("grafana-postgresql-datasource", "guichets-postgres")
FOLDER = "Guichets"
TAG = "guichets"

WORDS: Mapping[Outcome, str] = {
    Outcome.OFFERED: "offert",
    Outcome.NONE: "rien",
    Outcome.OPEN: "ouvert",
    Outcome.CLOSED: "fermé",
    Outcome.MOVED: "déplacé",
    Outcome.CAPTCHA: "captcha",
    Outcome.BLOCKED: "refusé",
    Outcome.OVERLOADED: "surchargé",
    Outcome.UNREACHABLE: "injoignable",
    Outcome.GONE: "disparu",
    Outcome.UNRECOGNISED: "non reconnu",
    Outcome.OBSERVER_FAULT: "notre faute",
}
COLOURS: Mapping[Outcome, str] = {
    Outcome.OFFERED: "green",
    Outcome.NONE: "blue",
    Outcome.OPEN: "light-green",
    Outcome.CLOSED: "dark-purple",
    Outcome.MOVED: "light-purple",
    Outcome.CAPTCHA: "yellow",
    Outcome.BLOCKED: "dark-yellow",
    Outcome.OVERLOADED: "orange",
    Outcome.UNREACHABLE: "red",
    Outcome.GONE: "semi-dark-purple",
    Outcome.UNRECOGNISED: "dark-red",
    Outcome.OBSERVER_FAULT: "dark-orange",
}
VERDICTS: Mapping[str, tuple[str, str]] = {
    "steady": ("rien n'a bougé", "green"),
    "world": ("des préfectures ont changé", "blue"),
    "platform": ("la plateforme a changé", "orange"),
    "robot": ("sans doute nous", "red"),
    "insufficient": ("trop peu de témoins", "text"),
}

# What we changed, on every panel. Grafana reads time, text and tags.
MARKERS = """SELECT at AS time, concat_ws(' ', kind, family, what) AS text, kind AS tags
FROM markers
WHERE at BETWEEN $__timeFrom() AND $__timeTo()
ORDER BY at DESC
LIMIT 200"""

DEPARTEMENTS = """SELECT DISTINCT departements.code AS __value, departements.code || ' ' || departements.name AS __text
FROM departements JOIN desks ON desks.departement = departements.code AND desks.closed_at IS NULL
ORDER BY 1"""
PROCEDURES = "SELECT DISTINCT procedure FROM desks WHERE closed_at IS NULL ORDER BY 1"
DESKS = (  # of the départements and procedures chosen
    "SELECT id FROM desks WHERE closed_at IS NULL AND departement IN (${departement:sqlstring}) "
    "AND procedure IN (${procedure:sqlstring}) ORDER BY id"
)
FAMILIES = "SELECT DISTINCT family FROM desks WHERE closed_at IS NULL ORDER BY 1"


@dataclass
class Sql(Dataquery, Builder["Sql"]):
    """A query of PostgreSQL; the SDK has none of its own."""

    sql: str
    format: str = "table"  # or time_series
    ref: str = "A"

    def build(self) -> Sql:
        return self

    def to_json(self) -> dict[str, object]:
        return {
            "datasource": POSTGRES,
            "editorMode": "code",
            "format": self.format,
            "rawQuery": True,
            "rawSql": self.sql,
            "refId": self.ref,
        }


def promql(expr: str, legend: str = "", *, instant: bool = False, ref: str = "A") -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).datasource(PROMETHEUS)
    return query.instant() if instant else query.range()


def queries(targets: Sequence[tuple[str, str]]) -> list[prometheus.Dataquery]:
    """Several PromQL queries of one panel: (expression, legend)."""
    return [promql(expr, legend, ref=chr(ord("A") + place)) for place, (expr, legend) in enumerate(targets)]


def steps(*found: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colours from these values upwards; the first has None."""
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value, colour) for value, colour in found])
    )


def colour(identifier: model.FieldColorModeId, fixed: str | None = None) -> dashboard.FieldColor:
    made = dashboard.FieldColor().mode(identifier)
    return made.fixed_color(fixed) if fixed else made


def says(words: Mapping[str, tuple[str, str]]) -> list[Any]:
    """Values shown as words, each in its colour."""
    return [
        model.ValueMap(
            {
                value: model.ValueMappingResult(text=shown, color=hue, index=place)
                for place, (value, (shown, hue)) in enumerate(words.items())
            }
        )
    ]


OUTCOME_WORDS = {str(outcome): (WORDS[outcome], COLOURS[outcome]) for outcome in Outcome}


def number(
    title: str,
    query: Builder[Any],
    help_: str,
    *,
    unit: str = "short",
    thresholds: dashboard.ThresholdsConfig | None = None,
    width: int = 4,
    mappings: list[Any] | None = None,
    decimals: int | None = None,
) -> stat.Panel:
    """One figure, its background in the colour of its state."""
    panel = (
        stat.Panel()
        .title(title)
        .description(help_)
        .unit(unit)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
        .color_mode(shared.BigValueColorMode.BACKGROUND if thresholds else shared.BigValueColorMode.NONE)
        .graph_mode(shared.BigValueGraphMode.NONE)
        .no_value("pas de donnée")
        .thresholds(thresholds or steps((None, "text")))
        .with_target(query)
        .height(4)
        .span(width)
    )
    if mappings:
        panel = panel.mappings(mappings)
    return panel if decimals is None else panel.decimals(decimals)


def curves(
    title: str,
    found: Sequence[Builder[Any]],
    help_: str,
    *,
    unit: str = "short",
    width: int = 12,
    stacked: bool = False,
    minimum: float | None = 0,
    maximum: float | None = None,
    named: Mapping[str, tuple[str, str]] | None = None,
) -> timeseries.Panel:
    """Curves over time. ``named``: series shown under other words, each in a colour of its own."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(help_)
        .unit(unit)
        .targets(list(found))
        .height(8)
        .span(width)
        .no_value("pas de donnée")
        .fill_opacity(60 if stacked else 8)
        .show_points(shared.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(shared.LegendDisplayMode.LIST)
            .placement(shared.LegendPlacement.BOTTOM)
            .calcs([])
        )
        .tooltip(common.VizTooltipOptions().mode(shared.TooltipDisplayMode.MULTI))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(shared.StackingMode.NORMAL))
    if minimum is not None:
        panel = panel.min(minimum)
    if maximum is not None:
        panel = panel.max(maximum)
    for name, (shown, hue) in (named or {}).items():
        panel = panel.override_by_name(
            name,
            [
                model.DynamicConfigValue("displayName", shown),
                model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": hue}),
            ],
        )
    return panel


@dataclass(frozen=True, slots=True)
class Column:
    """How one column of a table is shown; ``url`` is where a click leads."""

    title: str
    unit: str = ""
    width: int | None = None
    words: Mapping[str, tuple[str, str]] | None = None
    thresholds: Sequence[tuple[float | None, str]] = ()
    url: str = ""
    decimals: int | None = None


def rows(
    title: str,
    query: Builder[Any],
    help_: str,
    columns: Mapping[str, Column],
    *,
    width: int = 24,
    height: int = 9,
) -> table.Panel:
    """A table. Columns that are not named keep their names."""
    panel = (
        table.Panel()
        .title(title)
        .description(help_)
        .with_target(query)
        .height(height)
        .span(width)
        .no_value("–")
        .cell_height(shared.TableCellHeight.SM)
    )
    for name, column in columns.items():
        properties = [model.DynamicConfigValue("displayName", column.title)]
        if column.unit:
            properties.append(model.DynamicConfigValue("unit", column.unit))
        if column.decimals is not None:
            properties.append(model.DynamicConfigValue("decimals", column.decimals))
        if column.width:
            properties.append(model.DynamicConfigValue("custom.width", column.width))
        if column.words:
            properties.append(model.DynamicConfigValue("mappings", says(column.words)))
        if column.thresholds:
            threshold_steps = [{"value": value, "color": hue} for value, hue in column.thresholds]
            properties.append(
                model.DynamicConfigValue("thresholds", {"mode": "absolute", "steps": threshold_steps})
            )
        if column.words or column.thresholds:
            properties.append(
                model.DynamicConfigValue("custom.cellOptions", {"type": "color-background", "mode": "basic"})
            )
            if column.thresholds:
                properties.append(model.DynamicConfigValue("color", {"mode": "thresholds"}))
        if column.url:
            link = {"title": f"Voir {column.title.lower()}", "url": column.url}
            properties.append(model.DynamicConfigValue("links", [link]))
        panel = panel.override_by_name(name, properties)
    return panel


def states(title: str, query: Builder[Any], help_: str, *, height: int = 8) -> statetimeline.Panel:
    """Outcomes over time, one line per desk."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(help_)
        .with_target(query)
        .mappings(says(OUTCOME_WORDS))
        .merge_values(True)
        .show_value(shared.VisibilityMode.AUTO)
        .row_height(0.8)
        .height(height)
        .span(24)
        .no_value("aucune visite sur la période")
    )


def bars(
    title: str, query: Builder[Any], help_: str, *, unit: str = "short", width: int = 12
) -> bargauge.Panel:
    """Quantities beside each other, the longest first as the query sorts them."""
    return (
        bargauge.Panel()
        .title(title)
        .description(help_)
        .unit(unit)
        .with_target(query)
        .orientation(shared.VizOrientation.HORIZONTAL)
        .display_mode(shared.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
        .color_scheme(colour(model.FieldColorModeId.FIXED, "blue"))
        .min(0)
        .height(9)
        .span(width)
        .no_value("pas de donnée")
    )


def words(content: str, *, height: int = 3) -> text.Panel:
    """A few sentences for whoever sees the screen for the first time."""
    return (
        text.Panel()
        .mode(text_model.TextMode.MARKDOWN)
        .content(content)
        .height(height)
        .span(24)
        .transparent(True)
    )


def choice(name: str, label: str, query: str, *, several: bool = True) -> dashboard.QueryVariable:
    """A variable filled from the database."""
    made = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(POSTGRES)
        .query(query)
        .refresh(model.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(model.VariableSort.DISABLED)
    )
    if not several:
        return made
    everything = model.VariableOption(selected=True, text="Tous", value="$__all")
    return made.multi(True).include_all(True).current(everything)


def board(uid: str, title: str, description: str, *, period: str) -> dashboard.Dashboard:
    """An empty screen, with links to the others that keep period and choices."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .timezone("Europe/Paris")
        .week_start("monday")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time(period, "now")
        .refresh("1m")
        .link(
            dashboard.DashboardLink("Écrans")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )


def as_json(made: dashboard.Dashboard) -> dict[str, Any]:
    """The screen as Grafana reads it, with the markers that the SDK has no words for."""
    found: dict[str, Any] = json.loads(json.dumps(made.build(), cls=JSONEncoder, sort_keys=True))
    found["annotations"] = {
        "list": [
            {
                "datasource": {"type": POSTGRES.type_val, "uid": POSTGRES.uid},
                "enable": True,
                "hide": False,
                "iconColor": "purple",
                "name": "Ce que nous avons changé",
                "rawQuery": MARKERS,
                "target": {"format": "table", "rawQuery": True, "rawSql": MARKERS, "refId": "markers"},
            }
        ]
    }
    return found
