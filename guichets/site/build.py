"""Builds the site: every page from what may be published, and nothing written that did not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from guichets import configuration
from guichets.catalogue import PROCEDURES
from guichets.errors import ArgumentError, GuichetsError
from guichets.export.dictionary import OUTCOMES
from guichets.export.package import csv_of, write_if_changed
from guichets.export.public import TABLES, comparison_rows, day_rows, desk_quarter_rows
from guichets.outcomes import Outcome
from guichets.site import drawing, formats
from guichets.site.feeds import feed_of
from guichets.site.replies import Reply
from guichets.site.texts import translated
from guichets.statistics import bulletin
from guichets.statistics.comparison import Verdict
from guichets.statistics.observatory import DeskFacts
from guichets.statistics.periods import Quarter
from guichets.statistics.quarters import Comparison, GroupQuarter, QuarterReport, Reports

Progress = Callable[[int, int], None]
"""Told now and then: pages done, pages in all."""

MARK = ".guichets-site"  # a file in every folder this program may write a site into
ABROAD = "99"
_SORTS: Mapping[str, tuple[str, str]] = {  # column -> its title, and how it is ordered
    "code": ("Département", "ascending"),
    "desks": ("Guichets assez observés", "descending"),
    "availability": ("Disponibilité", "ascending"),
    "interval": ("Intervalle à 95 %", "ascending"),
    "coverage": ("Couverture", "descending"),
    "delay": ("1re date, médiane", "descending"),
    "verdict": ("Évolution", "ascending"),
}
_STATES = {
    "offered": "offert",
    "none": "rien de libre",
    "closed": "fermé",
    "dysfunction": "panne",
    "barrier": "captcha ou refus",
    "other": "autre",
    "missed": "non observé",
}
_CHANNELS = {
    "online": "internet",
    "phone": "téléphone",
    "mail": "courriel",
    "post": "courrier",
    "counter": "sur place",
}
_PARTS = {
    "night": "nuit (0 h à 7 h)",
    "morning": "matin (7 h à 12 h)",
    "afternoon": "après-midi (12 h à 18 h)",
    "evening": "soir (18 h à 24 h)",
}
_PACKAGE_ONLY = frozenset({"guichets-jours", "guichets-semaines"})  # the site has days by département
_WEEKDAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
_VERDICT_ORDER = {Verdict.WORSE: 0, Verdict.SAME: 1, Verdict.BETTER: 2, Verdict.INSUFFICIENT: 3, None: 4}


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did."""

    folder: Path
    pages: int
    written: int  # of them, those that were new or had changed
    removed: int


@dataclass(frozen=True, slots=True)
class _Row:
    code: str
    group: GroupQuarter | None
    verdict: Verdict | None


class Site:
    """All pages of one state of the observatory; ``period``: the quarter the home page tells of."""

    def __init__(
        self, reports: Reports, *, period: Quarter | None = None, replies: Sequence[Reply] = ()
    ) -> None:
        self.reports = reports
        self.observatory = reports.observatory
        self.replies = replies
        self.quarters = self.observatory.quarters()
        self.period = _chosen(self.quarters, reports, period)
        self.by_place: dict[str, list[DeskFacts]] = {}
        for desk in self.observatory.desks.values():
            self.by_place.setdefault(desk.departement, []).append(desk)
        self.codes = [code for code in self.observatory.places if code != ABROAD or self.by_place.get(ABROAD)]
        self._environment = jinja2.Environment(
            loader=jinja2.FunctionLoader(_template),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
        )

    @cached_property
    def report(self) -> QuarterReport | None:
        return self.reports.of(self.period) if self.period else None

    @cached_property
    def told(self) -> Comparison | None:
        """What verdicts of the period are against."""
        return (self.report.year_before or self.report.previous) if self.report else None

    def files(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Every file of the site by its path, and what makes its content."""
        yield "style.css", partial(_static, "style.css")
        yield MARK, lambda: b"Made by guichets report; its files may be replaced.\n"
        for language in formats.LANGUAGES:
            yield from self._pages(language)
        for code in self.codes:
            desks = self.by_place.get(code, [])
            place = self.observatory.places[code]
            days = -(-int(configuration.read("GUICHETS_PUBLICATION_DELAY").total_seconds()) // 86_400) + 1
            yield f"atom/{code}.xml", partial(feed_of, place, desks, published_after_days=days)
            yield f"donnees/departements/{code}.csv", partial(_day_file, desks)
        for table in TABLES:
            if table.name not in _PACKAGE_ONLY:
                yield f"donnees/{table.name}.csv", partial(_table_file, table, self.reports)
        for quarter in self.quarters:
            report = partial(self.reports.of, quarter)
            yield (
                f"donnees/comparaisons-{quarter}.csv",
                partial(_rows_of, "comparaisons", comparison_rows, report),
            )
            yield (
                f"donnees/guichets-trimestres-{quarter}.csv",
                partial(_rows_of, "guichets-trimestres", desk_quarter_rows, report),
            )
            yield f"donnees/canaux-{quarter}.csv", partial(_table_file, _table("canaux"), self.reports)

    def _pages(self, language: str) -> Iterator[tuple[str, Callable[[], bytes]]]:
        pages: list[tuple[str, str, str, Callable[[], dict[str, Any]]]] = [
            ("index.html", "home.html", "Rendez-vous en préfecture", partial(self._home, language)),
            ("methode.html", "prose.html", "Méthode", partial(self._prose, language, "methodology")),
            ("ethique.html", "prose.html", "Éthique et limites", partial(self._prose, language, "ethics")),
            ("donnees.html", "data.html", "Données ouvertes", partial(self._data, language)),
            ("errata.html", "errata.html", "Errata", lambda: {"errata": self.observatory.errata}),
            ("reponses.html", "replies.html", "Réponses", lambda: {"all_replies": self.replies}),
        ]
        if self.report:
            for sort in _SORTS:
                pages.append((f"tableau/{sort}.html", "table.html", "", partial(self._table, language, sort)))
        for quarter in self.quarters:
            pages.append(
                (
                    f"trimestres/{quarter}.html",
                    "quarter.html",
                    "Bilan",
                    partial(self._quarter, language, quarter),
                )
            )
        for code in self.codes:
            pages.append(
                (f"departements/{code}.html", "place.html", "", partial(self._place, language, code))
            )
        prefix = "" if language == formats.FRENCH else f"{language}/"
        for page, template, title, context in pages:
            yield prefix + page, partial(self._render, language, page, template, title, context)

    def _render(
        self, language: str, page: str, template: str, title: str, context: Callable[[], dict[str, Any]]
    ) -> bytes:
        deep = page.count("/")
        here = "../" * deep
        french = language == formats.FRENCH
        given = {
            "lang": language,
            "page": page,
            "title": translated(title, language) if title else "",
            "here": here,
            "root": here if french else "../" + here,
            "other_lang": formats.ENGLISH if french else formats.FRENCH,
            "other_page": f"{here}en/{page}" if french else f"{here}../{page}",
            **self._words(language),
            **context(),
        }
        return self._environment.get_template(template).render(given).encode()

    def _words(self, language: str) -> dict[str, Any]:
        """What every template may say."""

        def tell(text: str, **values: object) -> str:
            return translated(text, language) % values if values else translated(text, language)

        rules = self.reports.rules
        return {
            "_": tell,
            "number": partial(formats.number, language=language),
            "percent": partial(formats.percent, language=language),
            "interval": partial(formats.interval, language=language),
            "day": partial(formats.day, language=language),
            "days": partial(formats.days, language=language),
            "minutes": partial(formats.minutes, language=language),
            "quarter": partial(formats.quarter, language=language),
            "label": formats.label,
            "semicolon": "\N{NO-BREAK SPACE}; " if language == formats.FRENCH else "; ",
            "period": lambda report: _span(report, language),
            "place_name": lambda code: self.observatory.places[code].name,
            "procedure_name": lambda name: tell(PROCEDURES.get(name, name)),
            "channel_name": lambda name: tell(_CHANNELS[name]),
            "channel_names": lambda names: ", ".join(tell(_CHANNELS[name]) for name in names) or "–",
            "outcome_name": lambda name: _outcome_name(name, language),
            "statements_of": lambda report: bulletin.statements_of(report, self.observatory, rules),
            "office_channels": lambda report: bulletin.office_channels(self.observatory, report),
            "desks_named": bulletin.desks_named,
            "columns": [
                {"key": key, "name": tell(name), "order": order, "page": f"tableau/{key}.html"}
                for key, (name, order) in _SORTS.items()
            ],
            "table_rows": self._table_rows,
            "limit_days": rules.delay_limit_days,
            "delay_hours": round(configuration.read("GUICHETS_PUBLICATION_DELAY").total_seconds() / 3600),
            "until": self.observatory.published_until,
            "description": tell("Observatoire ouvert des guichets de rendez-vous en préfecture."),
            "navigation": [
                (tell("Accueil"), "index.html"),
                *([(tell("Bilan"), f"trimestres/{self.period}.html")] if self.period else []),
                (tell("Méthode"), "methode.html"),
                (tell("Éthique et limites"), "ethique.html"),
                (tell("Données ouvertes"), "donnees.html"),
                (tell("Errata"), "errata.html"),
                (tell("Réponses"), "reponses.html"),
            ],
        }

    def _home(self, language: str) -> dict[str, Any]:
        if self.report is None:
            return {"report": None}
        groups = self.report.places
        drawn = drawing.draw_map(
            groups,
            link=lambda code: f"departements/{code}.html",
            title=lambda code: self._map_title(code, language),
            caption=translated("Carte des départements, par disponibilité", language),
        )
        return {"report": self.report, "map": drawn, "quarters": list(reversed(self.quarters))}

    def _map_title(self, code: str, language: str) -> str:
        group = self.report.places.get(code) if self.report else None
        if group is None:
            told = translated("aucun guichet au catalogue", language)
        elif group.figures.availability is None:
            told = translated("observations insuffisantes", language)
        else:
            told = formats.percent(group.figures.availability.value, language)
        place = self.observatory.places.get(code)
        return f"{place.name if place else code} ({code}) : {told}"

    def _table(self, language: str, sort: str) -> dict[str, Any]:
        by = translated(_SORTS[sort][0], language)
        title = f"{translated('Les départements, par :', language)} {by}"
        return {"title": title, "report": self.report, "sort": sort}

    def _table_rows(self, sort: str) -> list[_Row]:
        assert self.report is not None
        verdicts = self.told.place_verdicts if self.told else {}
        rows = [_Row(code, self.report.places.get(code), verdicts.get(code)) for code in self.codes]
        return sorted(rows, key=lambda row: _rank(row, sort))

    def _quarter(self, language: str, quarter: Quarter) -> dict[str, Any]:
        report = self.reports.of(quarter)
        return {
            "title": translated("Bilan du", language) + " " + formats.quarter(quarter, language),
            "report": report,
            "told": report.year_before or report.previous,
            "worse": bulletin.examples_of(report, Verdict.WORSE),
            "better": bulletin.examples_of(report, Verdict.BETTER),
            "longest": bulletin.longest_dry(report),
            "breakdowns": [
                (
                    translated("Par démarche", language),
                    [
                        (translated(PROCEDURES.get(name, name), language), group)
                        for name, group in sorted(report.by_procedure.items())
                    ],
                ),
                (translated("Par plateforme", language), sorted(report.by_family.items())),
            ],
        }

    def _place(self, language: str, code: str) -> dict[str, Any]:
        desks = self.by_place.get(code, [])
        report = self.report
        by_office: dict[str, list[tuple[DeskFacts, Any]]] = {}
        for desk in desks:
            by_office.setdefault(desk.office, []).append(
                (desk, report.desks.get(desk.id) if report else None)
            )
        channels: dict[str, list[Mapping[str, Any]]] = {}
        for row in self.observatory.channels:
            if row["departement"] == code:
                channels.setdefault(row["office"], []).append(row)
        weeks = drawing.weeks_of([(entry.day, entry.counts) for desk in desks for entry in desk.days])
        history = [
            (past, past.places[code])
            for past in map(self.reports.of, reversed(self.quarters))
            if code in past.places
        ]
        return {
            "title": self.observatory.places[code].name,
            "code": code,
            "desks": sorted(by_office.items()),
            "channels": channels,
            "report": report,
            "group": report.places.get(code) if report else None,
            "told": self.told if self.told and code in self.told.place_verdicts else None,
            "replies": [reply for reply in self.replies if reply.departement == code],
            "weeks": weeks,
            "timeline": drawing.draw_timeline(
                weeks,
                caption=translated("Semaine par semaine : ce que les sondes ont trouvé", language),
                year=lambda monday: f"{monday:%m/%Y}",
            ),
            "states": [
                {"name": name, "label": translated(label, language)} for name, label in _STATES.items()
            ],
            "history": history,
            "releases": {
                (row["weekday"], row["part"]): row["openings"]
                for row in self.observatory.releases
                if row["departement"] == code and self.period and row["quarter"] == self.period.first
            },
            "parts": [{"name": name, "label": translated(label, language)} for name, label in _PARTS.items()],
            "weekdays": [
                {"number": number, "label": translated(label, language)}
                for number, label in enumerate(_WEEKDAYS, start=1)
            ],
            "heat": lambda many: 0 if not many else 1 if many < 3 else 2 if many < 8 else 3,
        }

    def _data(self, language: str) -> dict[str, Any]:
        french = language == formats.FRENCH
        known = [(table, table.french if french else table.english) for table in TABLES]
        return {
            "tables": [(table.name, told) for table, told in known if table.name not in _PACKAGE_ONLY],
            "dictionary": [(table.name, told, table.columns) for table, told in known],
            "codes": self.codes,
        }

    def _prose(self, language: str, name: str) -> dict[str, Any]:
        text = files("guichets.site").joinpath(f"data/{name}.{language}.md").read_text(encoding="utf-8")
        html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
        heading = translated("Définitions des chiffres", language)
        html = html.replace(
            "<table>", f'<div class="scroll" tabindex="0" role="region" aria-label="{heading}"><table>'
        ).replace("</table>", "</table></div>")
        return {"prose": Markup(html)}  # made from our own pages


def build_site(site: Site, folder: Path, progress: Progress | None = None) -> Built:
    """Write every page; what did not change is left as it is, what is no page any more is removed.

    Raises ArgumentError for a folder that holds something else.
    """
    _check(folder)
    wanted = list(site.files())
    written = 0
    known = set()
    for number, (path, make) in enumerate(wanted, start=1):
        target = folder / path
        known.add(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GuichetsError(f"{target.parent}: cannot be made: {error.strerror or error}") from error
        written += write_if_changed(target, make())
        if progress:
            progress(number, len(wanted))
    removed = 0
    for pattern in ("**/*.html", "atom/*.xml", "donnees/**/*.csv"):
        for path_found in folder.glob(pattern):
            if path_found not in known:
                path_found.unlink()
                removed += 1
    return Built(folder, len(wanted), written, removed)


def _chosen(quarters: Sequence[Quarter], reports: Reports, period: Quarter | None) -> Quarter | None:
    """The quarter asked for; else the last one that is over and was seen enough; else the last one."""
    if period is not None:
        if period not in quarters:
            known = f"there are {quarters[0]} to {quarters[-1]}" if quarters else "nothing is published yet"
            raise ArgumentError(f"--period {period}: no day of it is published; {known}")
        return period
    for quarter in reversed(quarters):
        report = reports.of(quarter)
        if report.is_over and report.country.figures.sufficient:
            return quarter
    return quarters[-1] if quarters else None


def _rank(row: _Row, sort: str) -> tuple[bool, float, str]:
    """Missing figures last, whichever way."""
    group = row.group
    if sort == "code" or group is None:
        return (group is None and sort != "code", 0.0, row.code)
    share = group.figures.availability
    values: Mapping[str, float | None] = {
        "desks": -group.seen_enough,
        "availability": share.value if share else None,
        "interval": share.low if share else None,
        "coverage": -group.figures.coverage if group.figures.coverage is not None else None,
        "delay": -group.first.median if group.first else None,
        "verdict": _VERDICT_ORDER[row.verdict],
    }
    value = values[sort]
    return (value is None, value or 0.0, row.code)


def _span(report: QuarterReport, language: str) -> str:
    joint = "du", "au"
    if language == formats.ENGLISH:
        joint = "from", "to"
    first, until = formats.day(report.quarter.first, language), formats.day(report.until, language)
    return f"{joint[0]} {first} {joint[1]} {until}"


def _outcome_name(name: str, language: str) -> str:
    try:
        french, english = OUTCOMES[Outcome(name)]
    except (ValueError, KeyError):
        return name
    return french if language == formats.FRENCH else english


def _table(name: str) -> Any:
    return next(table for table in TABLES if table.name == name)


def _table_file(table: Any, reports: Reports) -> bytes:
    return csv_of(table.columns, table.rows(reports))


def _rows_of(
    name: str, rows: Callable[[QuarterReport], Iterator[Any]], report: Callable[[], QuarterReport]
) -> bytes:
    return csv_of(_table(name).columns, rows(report()))


def _day_file(desks: Sequence[DeskFacts]) -> bytes:
    return csv_of(_table("guichets-jours").columns, day_rows(desks))


def _template(name: str) -> str:
    return files("guichets.site").joinpath("templates", name).read_text(encoding="utf-8")


def _static(name: str) -> bytes:
    return files("guichets.site").joinpath("static", name).read_bytes()


def _check(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"--out: {folder} is not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise ArgumentError(f"--out: {folder} holds something else; name a new folder")
