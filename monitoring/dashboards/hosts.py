"""« Hôtes »: the pace ledger: what was sent to each site, who holds it, and who refused us."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, dashboard

from monitoring.dashboards import kit
from monitoring.dashboards.kit import Column, Sql, promql

OF_DEPARTEMENT = """EXISTS (SELECT FROM desks WHERE desks.host = {table}.host
    AND desks.departement IN (${{departement:sqlstring}}))"""

LEDGER = f"""SELECT host, desks, requests_today, peak_per_minute, delay_seconds, paused_seconds_today, paused_until,
    strikes_today, last_refusal_at, robots_status, lease_owner, forbidden, forbidden_why, event, event_why
FROM host_ledger
WHERE {OF_DEPARTEMENT.format(table="host_ledger")}
ORDER BY forbidden DESC, paused_until DESC NULLS LAST, requests_today DESC
LIMIT 1000"""

EVENTS = f"""SELECT at, host, what, until, who, why
FROM host_events
WHERE at BETWEEN $__timeFrom() AND $__timeTo() AND {OF_DEPARTEMENT.format(table="host_events")}
ORDER BY at DESC
LIMIT 500"""

REFUSALS = f"""SELECT $__timeGroupAlias(at, '1h'), count(*)::double precision AS "refus"
FROM host_events
WHERE at BETWEEN $__timeFrom() AND $__timeTo() AND what = 'refused'
    AND {OF_DEPARTEMENT.format(table="host_events")}
GROUP BY 1
ORDER BY 1"""

ROBOTS = """SELECT coalesce(robots_status::text, 'jamais lu') AS statut, count(*)::double precision AS sites
FROM host_ledger
GROUP BY 1
ORDER BY 2 DESC"""

EVENT_WORDS = {
    "refused": ("refus", "orange"),
    "paused": ("mis en pause", "yellow"),
    "resumed": ("repris", "green"),
    "forbidden": ("interdit", "red"),
}


def build() -> dashboard.Dashboard:
    return (
        kit.board(
            "guichets-hotes",
            "Hôtes",
            "Ce qui a été envoyé à chaque site, à quel rythme, et qui nous a refusés. Comme guichets hosts.",
            period="now-24h",
        )
        .with_variable(kit.choice("departement", "Département", kit.DEPARTEMENTS))
        .with_panel(
            kit.number("Sites", promql("sum(guichets_hosts)", instant=True), "Sites connus.", width=4)
        )
        .with_panel(
            kit.number(
                "Requêtes aujourd'hui",
                promql("sum(guichets_host_requests_today)", instant=True),
                "À tous les sites, depuis minuit UTC.",
                width=4,
            )
        )
        .with_panel(
            kit.number(
                "En pause",
                promql("sum(guichets_hosts_paused)", instant=True),
                "Après un refus, ou sur demande.",
                thresholds=kit.steps((None, "green"), (1, "orange")),
                width=4,
            )
        )
        .with_panel(
            kit.number(
                "Interdits",
                promql("sum(guichets_hosts_forbidden)", instant=True),
                "Plus rien ne leur est envoyé.",
                width=4,
            )
        )
        .with_panel(
            kit.number(
                "Refus en trois heures",
                promql("sum(guichets_host_refusals_recent) or vector(0)", instant=True),
                "403 et 429, tous sites.",
                thresholds=kit.steps((None, "green"), (1, "orange"), (10, "red")),
                width=4,
            )
        )
        .with_panel(
            kit.number(
                "Sites tenus",
                promql("sum(guichets_leases_held) or vector(0)", instant=True),
                "Prêtés à un robot en ce moment.",
                width=4,
            )
        )
        .with_panel(
            kit.rows(
                "Registre",
                Sql(LEDGER),
                "Les mêmes lignes que `guichets hosts`.",
                {
                    "host": Column("Site", width=240),
                    "desks": Column("Guichets", width=80),
                    "requests_today": Column("Requêtes", width=85),
                    "peak_per_minute": Column(
                        "Max/min", width=80, thresholds=((None, "transparent"), (7, "orange"), (13, "red"))
                    ),
                    "delay_seconds": Column("Délai demandé", unit="s", width=110),
                    "paused_seconds_today": Column("En pause", unit="s", width=90),
                    "paused_until": Column("Jusqu'à", unit="dateTimeAsLocal", width=150),
                    "strikes_today": Column("Refus du jour", width=100),
                    "last_refusal_at": Column("Dernier refus", unit="dateTimeFromNow", width=120),
                    "robots_status": Column("robots.txt", width=90),
                    "lease_owner": Column("Tenu par", width=150),
                    "forbidden": Column("Interdit", width=80),
                    "forbidden_why": Column("Pourquoi", width=150),
                    "event": Column("Dernier fait", words=EVENT_WORDS, width=110),
                    "event_why": Column("Sa raison"),
                },
                height=14,
            )
        )
        .with_panel(
            kit.curves(
                "Refus par heure",
                [Sql(REFUSALS, format="time_series")],
                "403 et 429 des sites du choix.",
                named={"refus": ("refus", "orange")},
            )
        )
        .with_panel(
            kit.curves(
                "Sites qui refusent",
                kit.queries([("guichets_host_refusals_recent", "{{host}}")]),
                "Refus sur trois heures glissantes ; deux font une alerte.",
            )
        )
        .with_panel(
            kit.curves(
                "Pauses et interdictions",
                kit.queries(
                    [("guichets_hosts_paused", "en pause"), ("guichets_hosts_forbidden", "interdits")]
                ),
                "Nombre de sites.",
            )
        )
        .with_panel(
            kit.bars(
                "robots.txt", Sql(ROBOTS), "Réponse du dernier robots.txt, nombre de sites."
            ).reduce_options(common.ReduceDataOptions().values(True).calcs([]).fields(""))
        )
        .with_panel(
            kit.rows(
                "Ce qui est arrivé",
                Sql(EVENTS),
                "Refus, pauses, reprises, interdictions de la période : qui, quand, pourquoi.",
                {
                    "at": Column("Quand", unit="dateTimeAsLocal", width=160),
                    "host": Column("Site", width=240),
                    "what": Column("Quoi", words=EVENT_WORDS, width=120),
                    "until": Column("Jusqu'à", unit="dateTimeAsLocal", width=160),
                    "who": Column("Qui", width=180),
                    "why": Column("Pourquoi"),
                },
            )
        )
    )
