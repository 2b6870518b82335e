"""« Veille »: when desks open as far as is learnt, and what the watch probes cost and bring.

For the operator and partners: exact hours, which nothing public may show (DESIGN, rule 6).
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.dashboards import kit
from monitoring.dashboards.kit import Column, Sql, promql

WHERE = "departement IN (${departement:sqlstring}) AND procedure IN (${procedure:sqlstring})"
EXPECTED = ((None, "transparent"), (0.05, "dark-blue"), (0.25, "blue"), (0.5, "yellow"), (1, "green"))

HOURS = ", ".join(f'sum(expected) FILTER (WHERE hour = {hour}) AS "{hour} h"' for hour in range(24))


def _week(where: str) -> str:
    return f"""SELECT (ARRAY['lundi', 'mardi', 'mercredi', 'jeudi', 'vendredi', 'samedi', 'dimanche'])[weekday]
    AS jour, {HOURS}
FROM release_hours
WHERE {where}
GROUP BY weekday
ORDER BY weekday"""


WEEK = {
    "jour": Column("Jour", width=90),
    **{f"{hour} h": Column(f"{hour} h", decimals=1, width=48, thresholds=EXPECTED) for hour in range(24)},
}

HABITS = f"""SELECT departement, desk_id, label, kind,
    CASE weekdays
        WHEN ARRAY[1, 2, 3, 4, 5, 6, 7] THEN 'tous les jours'
        WHEN ARRAY[1, 2, 3, 4, 5] THEN 'du lundi au vendredi'
        ELSE array_to_string(ARRAY(
            SELECT (ARRAY['lun', 'mar', 'mer', 'jeu', 'ven', 'sam', 'dim'])[weekday]
            FROM unnest(weekdays) AS weekday
        ), ' ')
    END AS jours,
    to_char(local_time, 'HH24:MI') AS heure,
    array_to_string(minutes_of_hour, ' ') AS minutes,
    spread_minutes, usual_length_minutes, confidence, since::text AS depuis, evidence, sightings, told_at
FROM desk_releases
WHERE {WHERE} AND kind IS NOT NULL
ORDER BY confidence DESC, departement, desk_id, rank
LIMIT 500"""

SHARES = """SELECT host, visits_today, watch_today::double precision / nullif(visits_today, 0) AS aujourdhui,
    visits_week, watch_week::double precision / nullif(visits_week, 0) AS semaine, rests
FROM host_watch
WHERE (visits_week > 0 OR rests IS NOT NULL)
    AND EXISTS (SELECT FROM desks WHERE desks.host = host_watch.host
        AND desks.departement IN (${departement:sqlstring}) AND desks.procedure IN (${procedure:sqlstring}))
ORDER BY watch_week DESC, host
LIMIT 500"""

KINDS = {
    "weekly": ("hebdomadaire", "green"),
    "daily": ("quotidienne", "blue"),
    "cycle": ("dans l'heure", "purple"),
    "diffuse": ("sans heure", "text"),
}
RESTS = {
    "forbidden": ("interdit", "red"),
    "paused": ("pause", "yellow"),
    "refused": ("refus dans la semaine", "orange"),
    "failing": ("en panne", "dark-orange"),
}


def build() -> dashboard.Dashboard:
    return (
        kit.board(
            "guichets-veille",
            "Veille",
            "Quand les guichets ouvrent, d'après ce qui est appris, et ce que la veille coûte et rapporte.",
            period="now-24h",
        )
        .with_variable(kit.choice("departement", "Département", kit.DEPARTEMENTS))
        .with_variable(kit.choice("procedure", "Démarche", kit.PROCEDURES))
        .with_variable(
            kit.choice(
                "desk",
                "Guichet",
                kit.DESKS,
                several=False,
            )
        )
        .with_panel(
            kit.words(
                "La veille ajoute des visites là où une ouverture est attendue ; elles n'entrent dans aucun taux. "
                "**Heures exactes : pour l'exploitant et ses partenaires, à ne pas publier.** "
                "En ligne de commande : `guichets releases`, `guichets hosts`."
            )
        )
        .with_panel(
            kit.number(
                "Planifié jusque dans",
                promql("max(guichets_watch_planned_until_timestamp_seconds) - time()", instant=True),
                "Négatif depuis des minutes : personne ne planifie. Y a-t-il un robot qui dure (minutes=N) ?",
                unit="s",
                thresholds=kit.steps((None, "orange"), (-180, "green")),
            )
        )
        .with_panel(
            kit.number(
                "Guichets aux habitudes connues",
                promql("max(guichets_watch_desks_learnt)", instant=True),
                "Ceux dont une habitude d'ouverture au moins est apprise.",
            )
        )
        .with_panel(
            kit.number(
                "Part de la veille",
                promql(
                    'sum(guichets_visits_recent{purpose="watch"}) / sum(guichets_visits_recent)', instant=True
                ),
                "Des visites de sept jours. Le budget total : GUICHETS_WATCH_EVERY.",
                unit="percentunit",
                decimals=0,
            )
        )
        .with_panel(
            kit.number(
                "Visites de veille avec créneau",
                promql(
                    'sum(guichets_visits_recent_offered{purpose="watch"})'
                    ' / sum(guichets_visits_recent{purpose="watch"} > 0)',
                    instant=True,
                ),
                "Part de celles de sept jours qui ont vu un créneau.",
                unit="percentunit",
                decimals=1,
            )
        )
        .with_panel(
            kit.number(
                "Visites de base avec créneau",
                promql(
                    'sum(guichets_visits_recent_offered{purpose="baseline"})'
                    ' / sum(guichets_visits_recent{purpose="baseline"} > 0)',
                    instant=True,
                ),
                "Part de celles de sept jours, pour comparer.",
                unit="percentunit",
                decimals=1,
            )
        )
        .with_panel(
            kit.number(
                "Sites au repos",
                promql("sum(guichets_watch_hosts_resting)", instant=True),
                "Sans veille pour l'instant : interdits, en pause, en panne, ou qui nous ont refusés cette semaine.",
                thresholds=kit.steps((None, "green"), (1, "orange")),
            )
        )
        .with_panel(
            kit.rows(
                "Ouvertures attendues par heure de la semaine",
                Sql(_week(WHERE)),
                "Somme des guichets choisis, heure locale de chacun.",
                WEEK,
                height=10,
            )
        )
        .with_panel(
            kit.rows(
                "Habitudes apprises",
                Sql(HABITS),
                "Les plus sûres d'abord. Un clic sur un guichet montre sa semaine plus bas.",
                {
                    "departement": Column("Code", width=60),
                    "desk_id": Column(
                        "Guichet",
                        width=220,
                        url="/d/guichets-veille?var-desk=${__value.text}&${departement:queryparam}"
                        "&${procedure:queryparam}&${__url_time_range}",
                    ),
                    "label": Column("Intitulé"),
                    "kind": Column("Habitude", words=KINDS, width=110),
                    "jours": Column("Jours", width=160),
                    "heure": Column("Heure", width=70),
                    "minutes": Column("Minutes", width=90),
                    "spread_minutes": Column("À près", unit="m", decimals=0, width=75),
                    "usual_length_minutes": Column("Durée", unit="m", decimals=0, width=75),
                    "confidence": Column("Confiance", unit="percentunit", decimals=0, width=90),
                    "depuis": Column("Depuis", width=100),
                    "evidence": Column("Preuves", width=80),
                    "sightings": Column("Visites", width=80),
                    "told_at": Column("Écrit", unit="dateTimeFromNow", width=120),
                },
                height=12,
            )
        )
        .with_panel(
            kit.curves(
                "Visites de veille",
                kit.queries(
                    [
                        (
                            'sum by (reason) (rate(guichets_watch_probes_total{fate="made"}[$__rate_interval]))'
                            " * 3600",
                            "{{reason}}",
                        )
                    ]
                ),
                "Par heure, selon leur raison : ouverture attendue, cycle dans l'heure, suite, exploration.",
            )
        )
        .with_panel(
            kit.curves(
                "Abandonnées",
                kit.queries(
                    [
                        (
                            'sum by (reason) (rate(guichets_watch_probes_total{fate="dropped"}[$__rate_interval]))'
                            " * 3600",
                            "{{reason}}",
                        )
                    ]
                ),
                "Par heure : trop tard, trop près d'une autre visite, ou site au repos. Jamais rattrapées.",
            )
        )
        .with_panel(
            kit.rows(
                "Part de la veille par site",
                Sql(SHARES),
                "Des visites d'aujourd'hui et de sept jours ; et pourquoi la veille se repose.",
                {
                    "host": Column("Site", width=260),
                    "visits_today": Column("Visites du jour", width=120),
                    "aujourdhui": Column("Veille", unit="percentunit", decimals=0, width=90),
                    "visits_week": Column("Visites en 7 jours", width=140),
                    "semaine": Column("Veille en 7 jours", unit="percentunit", decimals=0, width=140),
                    "rests": Column("Repos", words=RESTS),
                },
            )
        )
        .with_row(dashboard.Row("Un guichet : $desk"))
        .with_panel(
            kit.rows(
                "Sa semaine",
                Sql(_week("desk_id = ${desk:sqlstring}")),
                "Ouvertures attendues par heure, heure locale.",
                WEEK,
                height=10,
            )
        )
    )
