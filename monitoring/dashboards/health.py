"""« Santé du robot »: is the crawl healthy? Answered in the first line, explained below."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from guichets.outcomes import Outcome
from monitoring.dashboards import kit
from monitoring.dashboards.kit import Column, Sql, promql

F = 'family=~"$family"'

CHANGES = """SELECT changes.day, changes.family, changes.verdict, changes.changed, changes.control_desks,
    changes.departements_changed, changes.ours
FROM changes_between(
    greatest(($__timeFrom()::timestamptz AT TIME ZONE 'Europe/Paris')::date,
        (now() AT TIME ZONE 'Europe/Paris')::date - 13),
    (now() AT TIME ZONE 'Europe/Paris')::date
) AS changes
WHERE changes.family IN (${family:sqlstring})
ORDER BY changes.day DESC, changes.changed DESC, changes.family"""


def build() -> dashboard.Dashboard:
    made = kit.board(
        "guichets-sante",
        "Santé du robot",
        "Le robot fait-il son travail ? Qui l'en empêche ?",
        period="now-24h",
    ).with_variable(kit.choice("family", "Plateforme", kit.FAMILIES))
    made = (
        made.with_row(dashboard.Row("En un coup d'œil"))
        .with_panel(
            kit.number(
                "Base de données",
                promql("min(guichets_up)", instant=True),
                "L'exporteur atteint-il PostgreSQL ?",
                thresholds=kit.steps((None, "red"), (1, "green")),
                mappings=kit.says({"0": ("absente", "red"), "1": ("là", "green")}),
            )
        )
        .with_panel(
            kit.number(
                "Alertes",
                promql(
                    'count(ALERTS{alertstate="firing", alertname!="GuichetsHeartbeat"}) or vector(0)',
                    instant=True,
                ),
                "Alertes qui sonnent maintenant. Chacune renvoie à sa page de docs/runbook.",
                thresholds=kit.steps((None, "green"), (1, "red")),
            )
        )
        .with_panel(
            kit.number(
                "Guichets vus depuis 4 h",
                promql(
                    f'sum(guichets_desk_staleness_seconds_bucket{{{F}, le="14400.0"}})'
                    f" / sum(guichets_desk_staleness_seconds_gcount{{{F}}})",
                    instant=True,
                ),
                "Part des guichets dont la dernière réponse concluante a moins de quatre heures.",
                unit="percentunit",
                thresholds=kit.steps((None, "red"), (0.8, "orange"), (0.95, "green")),
            )
        )
        .with_panel(
            kit.number(
                "Guichets en retard",
                promql(f"sum(guichets_desks_overdue{{{F}}})", instant=True),
                "Guichets dont l'heure est passée de plus d'un quart d'heure.",
                thresholds=kit.steps((None, "green"), (20, "orange"), (200, "red")),
            )
        )
        .with_panel(
            kit.number(
                "La porte a refusé",
                promql(f"sum(increase(guichets_gate_refusals_total{{{F}}}[24h]))", instant=True),
                "Requêtes hors de la liste permise, en 24 heures. Jamais normal.",
                thresholds=kit.steps((None, "green"), (0.5, "red")),
                decimals=0,
            )
        )
        .with_panel(
            kit.number(
                "En attente sur disque",
                promql("sum(guichets_spool_observations)", instant=True),
                "Observations que PostgreSQL n'a pas encore prises.",
                thresholds=kit.steps((None, "green"), (100, "orange"), (5000, "red")),
            )
        )
    )
    made = (
        made.with_row(dashboard.Row("Ce que le robot rencontre"))
        .with_panel(
            kit.curves(
                "Visites par minute, selon l'issue",
                kit.queries(
                    [
                        (
                            f"sum by (outcome) (rate(guichets_probes_total{{{F}}}[$__rate_interval])) * 60",
                            "{{outcome}}",
                        )
                    ]
                ),
                "Une couleur qui change d'un coup : le monde, la plateforme, ou nous ?",
                stacked=True,
                named=kit.OUTCOME_WORDS,
            )
        )
        .with_panel(
            kit.curves(
                "Non reconnu, par plateforme",
                kit.queries([("guichets:unrecognised:ratio_1h", "{{family}}")]),
                "Part des pages que nul lecteur ne reconnaît, sur une heure. Au-delà de 20 % : dérive.",
                unit="percentunit",
                maximum=1,
            )
        )
        .with_panel(
            kit.rows(
                "Monde ou robot ?",
                Sql(CHANGES),
                "Guichets témoins : même issue principale toute la semaine. Combien ont changé ce jour-là, "
                "et avons-nous changé quelque chose la veille ou le jour même ?",
                {
                    "day": Column("Jour", unit="dateTimeAsIso", width=120),
                    "family": Column("Plateforme", width=170),
                    "verdict": Column("Verdict", words=kit.VERDICTS, width=210),
                    "changed": Column("Témoins changés", width=130),
                    "control_desks": Column("Témoins", width=90),
                    "departements_changed": Column("Départements touchés", width=160),
                    "ours": Column("Ce que nous avons changé"),
                },
            )
        )
    )
    made = (
        made.with_row(dashboard.Row("Rythme"))
        .with_panel(
            kit.curves(
                "Ancienneté de la dernière réponse concluante",
                kit.queries(
                    [
                        (
                            "histogram_quantile(0.5, sum by (le) "
                            f"(guichets_desk_staleness_seconds_bucket{{{F}}}))",
                            "la moitié des guichets",
                        ),
                        (
                            "histogram_quantile(0.95, sum by (le) "
                            f"(guichets_desk_staleness_seconds_bucket{{{F}}}))",
                            "95 % des guichets",
                        ),
                        (f"max(guichets_desk_staleness_worst_seconds{{{F}}})", "le plus ancien"),
                    ]
                ),
                "Depuis combien de temps un guichet n'a rien répondu qui veuille dire quelque chose.",
                unit="s",
            )
        )
        .with_panel(
            kit.curves(
                "De l'heure due à la visite faite",
                kit.queries(
                    [
                        (
                            f"histogram_quantile({share}, sum by (le) "
                            f"(rate(guichets_due_to_done_seconds_bucket{{{F}}}[1h])))",
                            legend,
                        )
                        for share, legend in ((0.5, "la moitié"), (0.95, "95 %"))
                    ]
                ),
                "Retard des visites de base. Au-delà d'une heure, des créneaux sont manqués.",
                unit="s",
            )
        )
        .with_panel(
            kit.curves(
                "Guichets dus et en retard",
                kit.queries(
                    [
                        (f"sum(guichets_desks_due{{{F}}})", "dus"),
                        (f"sum(guichets_desks_overdue{{{F}}})", "en retard"),
                        (f"sum(guichets_desks_never_probed{{{F}}})", "jamais visités"),
                    ]
                ),
                "Dus : leur instant est venu. En retard : depuis plus d'un quart d'heure.",
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Durée d'une visite",
                kit.queries(
                    [
                        (
                            "histogram_quantile(0.95, sum by (le, family) "
                            f"(rate(guichets_probe_duration_seconds_bucket{{{F}}}[1h])))",
                            "{{family}}",
                        )
                    ]
                ),
                "95 % des visites durent moins que cela : dix secondes entre deux requêtes.",
                unit="s",
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Requêtes par visite",
                kit.queries(
                    [
                        (
                            f"sum by (family) (rate(guichets_probe_requests_sum{{{F}}}[1h]))"
                            f" / (sum by (family) (rate(guichets_probe_requests_count{{{F}}}[1h])) > 0)",
                            "{{family}}",
                        )
                    ]
                ),
                "Étapes d'une visite, en moyenne.",
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Requêtes par minute",
                kit.queries(
                    [
                        (
                            f"sum by (family) (rate(guichets_requests_total{{{F}}}[$__rate_interval])) * 60",
                            "{{family}}",
                        )
                    ]
                ),
                "Ce que les visites ont envoyé.",
                stacked=True,
            )
        )
        .with_panel(
            kit.curves(
                "Octets lus",
                kit.queries(
                    [
                        (
                            "sum by (family) "
                            f"(rate(guichets_response_body_bytes_total{{{F}}}[$__rate_interval]))",
                            "{{family}}",
                        ),
                        ("sum(rate(guichets_network_received_bytes_total[3h]))", "sur le réseau"),
                    ]
                ),
                "Pages décodées, par plateforme ; et ce que les visites finies ont reçu sur le réseau.",
                unit="Bps",
            )
        )
    )
    machines = (
        made.with_row(dashboard.Row("Machines"))
        .with_panel(
            kit.curves(
                "Silence des machines",
                kit.queries([("time() - guichets_node_last_observation_timestamp_seconds", "{{node}}")]),
                "Depuis combien de temps une machine n'a rien écrit. Au-delà de 45 minutes : alerte.",
                unit="s",
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Sites tenus",
                kit.queries(
                    [
                        ("guichets_leases_held", "{{node}}"),
                        ("guichets_leases_expired", "baux échus, rendus par personne"),
                    ]
                ),
                "Chaque site est prêté à une seule machine à la fois.",
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Robots vus en un jour, par version",
                kit.queries([("sum by (node, version) (guichets_workers_seen)", "{{node}} {{version}}")]),
                "Deux versions à la fois : une mise à jour en cours, ou oubliée quelque part.",
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Visites finies par heure, selon la raison",
                kit.queries(
                    [(f"sum by (reason) (increase(guichets_crawls_total{{{F}}}[1h]))", "{{reason}}")]
                ),
                "« finished » est la bonne. Les autres sont dans docs/logs.md.",
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Disque libre",
                kit.queries([("guichets:disk:free_ratio", "{{node}}")]),
                "Sous 10 % : alerte.",
                unit="percentunit",
                maximum=1,
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Archive et attente",
                kit.queries(
                    [
                        ("guichets_archive_bytes", "archive, {{node}}"),
                        ("guichets_spool_bytes", "attente, {{node}}"),
                    ]
                ),
                "Taille des preuves, et de ce que la base n'a pas encore pris.",
                unit="bytes",
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Preuves et sauvegardes",
                kit.queries(
                    [
                        (
                            "time() - guichets_archive_unsealed_since_timestamp_seconds",
                            "sans sceau depuis, {{archive}}",
                        ),
                        ("time() - guichets_backup_last_success_timestamp_seconds", "sauvegarde, {{node}}"),
                    ]
                ),
                "Un jour se scelle quand il est fini : deux jours et demi sans sceau sonnent.",
                unit="s",
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Horloges",
                kit.queries([("guichets_clock_offset_seconds", "{{node}}")]),
                "Écart avec l'horloge de la base. Au-delà de 5 s : alerte.",
                unit="s",
                minimum=None,
                width=8,
            )
        )
        .with_panel(
            kit.curves(
                "Tables de chiffres",
                kit.queries(
                    [
                        ("time() - guichets_rollups_refreshed_timestamp_seconds", "âge (s)"),
                        ("guichets_rollup_queue_rows", "lignes en attente"),
                        ("sum(guichets_exporter_query_failed)", "requêtes en échec"),
                    ]
                ),
                "Les chiffres sont tenus à jour tous les quarts de minute.",
                width=8,
            )
        )
    )
    return machines.with_panel(
        kit.curves(
            "Nos fautes",
            kit.queries(
                [
                    (
                        f'sum by (family) (increase(guichets_probes_total{{{F}, outcome="{Outcome.OBSERVER_FAULT}"}}[1h]))',
                        "{{family}}",
                    ),
                    (f"sum(increase(guichets_robots_refusals_total{{{F}}}[1h]))", "interdit par robots.txt"),
                    (f"sum(increase(guichets_absurd_observations_total{{{F}}}[1h]))", "valeurs absurdes"),
                    ("sum(guichets_refused_observations)", "refusées par PostgreSQL"),
                ]
            ),
            "Par heure. Une faute de notre côté n'entre dans aucun taux.",
            width=24,
        )
    )
