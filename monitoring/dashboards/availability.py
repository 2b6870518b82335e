"""« Disponibilité par département »: where can one get an appointment? Down to one desk.

For the operator: it shows hours and fresh figures, which nothing public may (DESIGN, rule 6).
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, dashboard, geomap
from grafana_foundation_sdk.models import common as shared

from monitoring.dashboards import kit
from monitoring.dashboards.kit import Column, Sql
from monitoring.outlines import marks

WHERE = "departement IN (${departement:sqlstring}) AND procedure IN (${procedure:sqlstring})"
DAYS = (
    "($__timeFrom()::timestamptz AT TIME ZONE 'Europe/Paris')::date, "
    "($__timeTo()::timestamptz AT TIME ZONE 'Europe/Paris')::date"
)
RATE = ((None, "dark-red"), (0.02, "orange"), (0.1, "yellow"), (0.3, "green"))
RATE_STEPS = [{"value": value, "color": hue} for value, hue in RATE]

BY_DEPARTEMENT = f"""SELECT figures.departement, departements.name AS nom,
    now_.desks AS guichets, now_.offered AS offrent,
    sum(figures.offered)::double precision / nullif(sum(figures.rated), 0) AS taux,
    least(1, sum(figures.observed)::double precision / nullif(sum(figures.slots_due), 0)) AS couverture,
    sum(figures.barrier)::double precision / nullif(sum(figures.probes - figures.observer_fault), 0) AS barriere,
    sum(figures.dysfunction)::double precision / nullif(sum(figures.probes - figures.observer_fault), 0) AS panne,
    round(sum(figures.first_slot_days_sum) / nullif(sum(figures.with_first_slot), 0)) AS delai,
    now_.first_slot AS premiere
FROM availability_between({DAYS}) AS figures
JOIN departements ON departements.code = figures.departement
LEFT JOIN (
    SELECT departement, sum(desks) AS desks, sum(offered) AS offered, min(first_slot) AS first_slot
    FROM availability_now WHERE {WHERE} GROUP BY departement
) AS now_ ON now_.departement = figures.departement
WHERE figures.departement IN (${{departement:sqlstring}}) AND figures.procedure IN (${{procedure:sqlstring}})
GROUP BY figures.departement, departements.name, now_.desks, now_.offered, now_.first_slot
ORDER BY figures.departement"""

MARKS = ", ".join(f"('{code}', {latitude}, {longitude})" for code, (longitude, latitude) in marks().items())
MAP = f"""SELECT mark.latitude, mark.longitude, figures.departement || ' ' || departements.name AS nom,
    sum(figures.offered)::double precision / nullif(sum(figures.rated), 0) AS taux,
    least(1, sum(figures.observed)::double precision / nullif(sum(figures.slots_due), 0)) AS couverture
FROM availability_between({DAYS}) AS figures
JOIN departements ON departements.code = figures.departement
JOIN (VALUES {MARKS}) AS mark (code, latitude, longitude) ON mark.code = figures.departement
WHERE figures.departement IN (${{departement:sqlstring}}) AND figures.procedure IN (${{procedure:sqlstring}})
GROUP BY 1, 2, 3"""

BY_DAY = f"""SELECT day::timestamp AT TIME ZONE 'Europe/Paris' AS time,
    sum(offered)::double precision / nullif(sum(rated), 0) AS "disponibilité",
    sum(barrier)::double precision / nullif(sum(probes - observer_fault), 0) AS "barrière",
    sum(dysfunction)::double precision / nullif(sum(probes - observer_fault), 0) AS "panne"
FROM desk_days
WHERE {WHERE} AND day BETWEEN ($__timeFrom()::timestamptz AT TIME ZONE 'Europe/Paris')::date
    AND ($__timeTo()::timestamptz AT TIME ZONE 'Europe/Paris')::date
GROUP BY day
ORDER BY day"""

DELAYS_BY_DAY = f"""SELECT day::timestamp AT TIME ZONE 'Europe/Paris' AS time,
    sum(first_slot_days_sum)::double precision / nullif(sum(with_first_slot), 0) AS "en moyenne",
    min(first_slot_days_min) AS "au plus tôt"
FROM desk_days
WHERE {WHERE} AND day BETWEEN ($__timeFrom()::timestamptz AT TIME ZONE 'Europe/Paris')::date
    AND ($__timeTo()::timestamptz AT TIME ZONE 'Europe/Paris')::date
GROUP BY day
ORDER BY day"""

DESKS = f"""SELECT desk_id, departement, office, procedure, label, outcome::text AS issue, first_slot AS premiere,
    observed_at AS vu, url
FROM desk_status
WHERE {WHERE}
ORDER BY departement, office, desk_id
LIMIT 500"""

HISTORY = """SELECT observed_at AS time, outcome::text AS "issue"
FROM observations_in_force
WHERE desk_id = ${desk:sqlstring} AND counter_key IS NULL
    AND observed_at BETWEEN $__timeFrom() AND $__timeTo()
ORDER BY observed_at"""

COUNTERS = """SELECT observed_at AS time, left(coalesce(counter_label, counter_key), 40) AS metric, outcome::text AS issue
FROM observations_in_force
WHERE desk_id = ${desk:sqlstring} AND counter_key IS NOT NULL
    AND observed_at BETWEEN $__timeFrom() AND $__timeTo()
ORDER BY observed_at
LIMIT 5000"""

DESK_DELAY = """SELECT observed_at AS time,
    extract(epoch FROM first_slot - observed_at)::double precision / 86400 AS "première date",
    extract(epoch FROM second_slot - observed_at)::double precision / 86400 AS "deuxième date"
FROM observations_in_force
WHERE desk_id = ${desk:sqlstring} AND counter_key IS NULL AND outcome = 'offered'
    AND first_slot BETWEEN observed_at - interval '1 day' AND observed_at + interval '730 days'
    AND observed_at BETWEEN $__timeFrom() AND $__timeTo()
ORDER BY observed_at"""

HOURS = ", ".join(
    f"sum(probes) FILTER (WHERE hour = {hour} AND outcome = 'offered')::double precision"
    f" / nullif(sum(probes) FILTER (WHERE hour = {hour} AND outcome IN ('offered', 'none', 'closed')), 0)"
    f' AS "{hour} h"'
    for hour in range(24)
)


def _heat(where: str) -> str:
    return f"""SELECT (ARRAY['lundi', 'mardi', 'mercredi', 'jeudi', 'vendredi', 'samedi', 'dimanche'])[
    extract(isodow FROM day)::integer] AS jour, {HOURS}
FROM desk_hours
WHERE {where} AND day BETWEEN ($__timeFrom()::timestamptz AT TIME ZONE 'Europe/Paris')::date
    AND ($__timeTo()::timestamptz AT TIME ZONE 'Europe/Paris')::date
GROUP BY extract(isodow FROM day)
ORDER BY extract(isodow FROM day)"""


HEAT = {
    "jour": Column("Jour", width=90),
    **{
        f"{hour} h": Column(f"{hour} h", unit="percentunit", decimals=0, width=48, thresholds=RATE)
        for hour in range(24)
    },
}


def _map() -> geomap.Panel:
    outlines = (
        common.MapLayerOptions()
        .type("geojson")
        .name("Départements")
        .config(
            {
                "src": "public/maps/departements.geojson",
                "rules": [],
                "style": {
                    "color": {"fixed": "text"},
                    "opacity": 0.15,
                    "lineWidth": 1,
                    "fill": {"fixed": "text"},
                },
            }
        )
        .tooltip(False)
    )
    rates = (
        common.MapLayerOptions()
        .type("markers")
        .name("Taux")
        .config(
            {
                "showLegend": True,
                "style": {
                    "color": {"field": "taux", "fixed": "text"},
                    "opacity": 0.9,
                    "size": {"fixed": 8, "min": 8, "max": 8},
                    "symbol": {"fixed": "img/icons/marker/circle.svg", "mode": "fixed"},
                },
            }
        )
        .location(
            common.FrameGeometrySource()
            .mode(shared.FrameGeometrySourceMode.COORDS)
            .latitude("latitude")
            .longitude("longitude")
        )
        .tooltip(True)
    )
    return (
        geomap.Panel()
        .title("Part des visites où un créneau est offert")
        .description(
            "Sur la période choisie. Gris : aucune visite notée. Outre-mer à gauche, à d'autres échelles."
        )
        .with_target(Sql(MAP))
        .unit("percentunit")
        .thresholds(kit.steps(*RATE))
        .basemap(common.MapLayerOptions().type("xyz").name("Aucun fond").config({"url": ""}).opacity(0))
        .layers([outlines, rates])
        .view(geomap.MapViewConfig().id("coords").lat(46).lon(0).zoom(5))
        .height(16)
        .span(10)
    )


def build() -> dashboard.Dashboard:
    made = (
        kit.board(
            "guichets-disponibilite",
            "Disponibilité par département",
            "Où peut-on prendre rendez-vous, et dans combien de temps ? Pour l'exploitant, pas pour le public.",
            period="now-7d",
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
    )
    return (
        made.with_panel(
            kit.words(
                "**Taux** : visites de base où un créneau est offert, parmi celles où le site répond offert, rien "
                "ou fermé. **Couverture** : visites faites et concluantes, parmi celles prévues. Un taux à faible "
                "couverture ne dit pas grand-chose. Vide : pas de donnée, jamais zéro. Écran de l'exploitant : "
                "il montre des heures et des chiffres frais, à ne pas publier."
            )
        )
        .with_panel(
            kit.rows(
                "Par département",
                Sql(BY_DEPARTEMENT),
                "Guichets et dates : maintenant, comme `guichets status`. Le reste : sur la période choisie.",
                {
                    "departement": Column(
                        "Code",
                        width=60,
                        url="/d/guichets-disponibilite?var-departement=${__value.text}&${procedure:queryparam}"
                        "&${__url_time_range}",
                    ),
                    "nom": Column("Département", width=150),
                    "guichets": Column("Guichets", width=80),
                    "offrent": Column("Offrent", width=75),
                    "taux": Column("Taux", unit="percentunit", decimals=1, thresholds=RATE, width=75),
                    "couverture": Column(
                        "Couverture",
                        unit="percentunit",
                        decimals=0,
                        thresholds=((None, "dark-red"), (0.5, "orange"), (0.8, "green")),
                        width=95,
                    ),
                    "barriere": Column("Barrière", unit="percentunit", decimals=0, width=80),
                    "panne": Column("Panne", unit="percentunit", decimals=0, width=70),
                    "delai": Column("Délai moyen", unit="d", width=100),
                    "premiere": Column("Première date", unit="dateTimeAsLocal"),
                },
                width=14,
                height=16,
            )
        )
        .with_panel(_map())
        .with_panel(
            kit.curves(
                "Jour par jour",
                [Sql(BY_DAY, format="time_series")],
                "Barrière : captcha ou refus. Panne : le site échoue ou ne répond pas.",
                unit="percentunit",
                maximum=1,
                named={
                    "disponibilité": ("disponibilité", "green"),
                    "barrière": ("barrière", "yellow"),
                    "panne": ("panne", "red"),
                },
            )
        )
        .with_panel(
            kit.curves(
                "Jours jusqu'à la première date offerte",
                [Sql(DELAYS_BY_DAY, format="time_series")],
                "Quand un créneau est offert. Les dates absurdes sont écartées et comptées.",
                unit="d",
            )
        )
        .with_panel(
            kit.rows(
                "À quelle heure, quel jour",
                Sql(_heat(WHERE + " AND counted")),
                "Taux par heure du département, sur les visites de base de la période.",
                HEAT,
                height=10,
            )
        )
        .with_panel(
            kit.rows(
                "Guichets",
                Sql(DESKS),
                "Dernière réponse de chaque guichet. Un clic sur son nom montre son histoire plus bas.",
                {
                    "desk_id": Column(
                        "Guichet",
                        width=220,
                        url="/d/guichets-disponibilite?var-desk=${__value.text}&${departement:queryparam}"
                        "&${procedure:queryparam}&${__url_time_range}",
                    ),
                    "departement": Column("Code", width=60),
                    "office": Column("Lieu", width=200),
                    "procedure": Column("Démarche", width=150),
                    "label": Column("Intitulé"),
                    "issue": Column("Issue", words=kit.OUTCOME_WORDS, width=110),
                    "premiere": Column("Première date", unit="dateTimeAsLocal", width=160),
                    "vu": Column("Vu", unit="dateTimeFromNow", width=130),
                    "url": Column("Adresse"),
                },
            )
        )
        .with_row(dashboard.Row("Un guichet : $desk"))
        .with_panel(
            kit.words(
                "**Un constat pour le juge** sur la période choisie, jusqu'à 48 h de maintenant :\n\n"
                "`guichets constat --desk ${desk:text} --from ${__from:date:YYYY-MM-DD} "
                "--to ${__to:date:YYYY-MM-DD} --out constat-${desk:text}`\n\n"
                "Les guichets où le critère de plusieurs semaines serait rempli : `guichets constat --list`.",
                height=4,
            )
        )
        .with_panel(
            kit.states(
                "Ce que le guichet a répondu",
                Sql(HISTORY),
                "Une couleur par issue. Un trou : pas de visite.",
                height=5,
            )
        )
        .with_panel(
            kit.states(
                "Ses sous-choix",
                Sql(COUNTERS, format="time_series"),
                "Plannings, motifs ou lieux de ce guichet, s'il en a.",
                height=7,
            )
        )
        .with_panel(
            kit.curves(
                "Jours jusqu'aux deux premières dates",
                [Sql(DESK_DELAY, format="time_series")],
                "À chaque visite où un créneau est offert.",
                unit="d",
                width=24,
            )
        )
        .with_panel(
            kit.rows(
                "Ses heures",
                Sql(_heat("desk_id = ${desk:sqlstring}")),
                "Taux par heure et jour de la semaine, toutes visites de la période.",
                HEAT,
                height=10,
            )
        )
    )
