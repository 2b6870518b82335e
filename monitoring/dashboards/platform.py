"""« Plateforme »: one family, step by step: where do visits end, by which rule, and did the platform change?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.dashboards import kit
from monitoring.dashboards.kit import Column, Sql, promql

F = 'family="$family"'

BY_DAY = """SELECT day::timestamp AT TIME ZONE 'Europe/Paris' AS time, outcome::text AS metric,
    sum(probes)::double precision AS visites
FROM outcome_days
WHERE family = ${family:sqlstring} AND day BETWEEN ($__timeFrom()::timestamptz AT TIME ZONE 'Europe/Paris')::date
    AND ($__timeTo()::timestamptz AT TIME ZONE 'Europe/Paris')::date
GROUP BY day, outcome
ORDER BY day"""

UNKNOWN = """SELECT desk_id, departement, office, rule, http_status, observed_at AS vu, observation_id::text AS observation
FROM desk_status
WHERE family = ${family:sqlstring} AND outcome IN ('unrecognised', 'gone', 'moved')
ORDER BY outcome DESC, observed_at DESC
LIMIT 100"""

CHANGES = """SELECT day, verdict, changed, control_desks, departements_changed, ours
FROM changes_between((now() AT TIME ZONE 'Europe/Paris')::date - 13, (now() AT TIME ZONE 'Europe/Paris')::date)
WHERE family = ${family:sqlstring}
ORDER BY day DESC"""

VERSIONS = """SELECT kind, version, first_at, last_at
FROM versions_seen
WHERE family = ${family:sqlstring}
ORDER BY last_at DESC
LIMIT 20"""


def build() -> dashboard.Dashboard:
    return (
        kit.board(
            "guichets-plateforme",
            "Plateforme",
            "Une plateforme de rendez-vous, étape par étape : où finissent les visites, et a-t-elle changé ?",
            period="now-24h",
        )
        .with_variable(kit.choice("family", "Plateforme", kit.FAMILIES, several=False))
        .with_panel(
            kit.number(
                "Guichets",
                promql(f"sum(guichets_desks{{{F}}})", instant=True),
                "Guichets en service sur cette plateforme.",
                width=4,
            )
        )
        .with_panel(
            kit.number(
                "Visites sur la période",
                promql(f"sum(increase(guichets_probes_total{{{F}}}[$__range]))", instant=True),
                "Toutes issues.",
                decimals=0,
                width=4,
            )
        )
        .with_panel(
            kit.number(
                "Non reconnu",
                promql(f"guichets:unrecognised:ratio_1h{{{F}}}", instant=True),
                "Sur une heure. Au-delà de 20 % et trois guichets : dérive.",
                unit="percentunit",
                thresholds=kit.steps((None, "green"), (0.05, "orange"), (0.2, "red")),
                width=4,
            )
        )
        .with_panel(
            kit.number(
                "Guichets non reconnus",
                promql(f"sum(guichets_desks_unrecognised{{{F}}})", instant=True),
                "Un seul : une bizarrerie. Beaucoup à la fois : la plateforme.",
                thresholds=kit.steps((None, "green"), (1, "orange"), (3, "red")),
                width=4,
            )
        )
        .with_panel(
            kit.number(
                "Dernière réponse concluante",
                promql(
                    f"time() - max(guichets_family_last_conclusive_timestamp_seconds{{{F}}})", instant=True
                ),
                "Au-delà de quatre heures : alerte.",
                unit="s",
                thresholds=kit.steps((None, "green"), (7200, "orange"), (14400, "red")),
                width=4,
            )
        )
        .with_panel(
            kit.number(
                "Refus de la porte",
                promql(f"sum(increase(guichets_gate_refusals_total{{{F}}}[$__range]))", instant=True),
                "Sur la période. Jamais normal.",
                thresholds=kit.steps((None, "green"), (0.5, "red")),
                decimals=0,
                width=4,
            )
        )
        .with_panel(
            kit.bars(
                "Jusqu'où vont les visites",
                promql(
                    f"sort_desc(sum by (step) (increase(guichets_probe_last_step_total{{{F}}}[$__range])))",
                    "étape {{step}}",
                    instant=True,
                ),
                "Dernière étape lue. « none » : aucune page. Une étape qui grossit d'un coup : un mur nouveau.",
            )
        )
        .with_panel(
            kit.bars(
                "Règles qui ont décidé",
                promql(
                    f"topk(20, sum by (rule) (increase(guichets_rule_hits_total{{{F}}}[$__range])) > 0)",
                    "{{rule}}",
                    instant=True,
                ),
                "Les vingt premières, sur la période. Une règle qui ne sert plus : la plateforme a changé de mots.",
            )
        )
        .with_panel(
            kit.curves(
                "Issues, visites par minute",
                kit.queries(
                    [
                        (
                            f"sum by (outcome) (rate(guichets_probes_total{{{F}}}[$__rate_interval])) * 60",
                            "{{outcome}}",
                        )
                    ]
                ),
                "Ce que la plateforme répond.",
                stacked=True,
                named=kit.OUTCOME_WORDS,
            )
        )
        .with_panel(
            kit.curves(
                "Dérive : part non reconnue",
                kit.queries([(f"guichets:unrecognised:ratio_1h{{{F}}}", "non reconnu")]),
                "Sur une heure glissante.",
                unit="percentunit",
                maximum=1,
                named={"non reconnu": ("non reconnu", "dark-red")},
            )
        )
        .with_panel(
            kit.curves(
                "Issues, jour par jour",
                [Sql(BY_DAY, format="time_series")],
                "Visites de toute sorte, en vigueur : ce que les relectures ont corrigé l'est ici.",
                stacked=True,
                named=kit.OUTCOME_WORDS,
                width=12,
            )
        )
        .with_panel(
            kit.curves(
                "Durée d'une visite",
                kit.queries(
                    [
                        (
                            f"histogram_quantile({share}, sum by (le) "
                            f"(rate(guichets_probe_duration_seconds_bucket{{{F}}}[1h])))",
                            legend,
                        )
                        for share, legend in ((0.5, "la moitié"), (0.95, "95 %"))
                    ]
                ),
                "Avec dix secondes entre deux requêtes.",
                unit="s",
            )
        )
        .with_panel(
            kit.rows(
                "Guichets non reconnus, disparus ou déplacés",
                Sql(UNKNOWN),
                "À regarder : guichets evidence show OBSERVATION, ou picture.",
                {
                    "desk_id": Column(
                        "Guichet", width=220, url="/d/guichets-disponibilite?var-desk=${__value.text}"
                    ),
                    "departement": Column("Code", width=60),
                    "office": Column("Lieu", width=200),
                    "rule": Column("Règle", width=200),
                    "http_status": Column("HTTP", width=70),
                    "vu": Column("Vu", unit="dateTimeFromNow", width=130),
                    "observation": Column("Observation"),
                },
            )
        )
        .with_panel(
            kit.rows(
                "Monde ou robot ?",
                Sql(CHANGES),
                "Guichets stables toute la semaine : combien ont changé, et avons-nous changé ?",
                {
                    "day": Column("Jour", unit="dateTimeAsIso", width=120),
                    "verdict": Column("Verdict", words=kit.VERDICTS, width=210),
                    "changed": Column("Témoins changés", width=130),
                    "control_desks": Column("Témoins", width=90),
                    "departements_changed": Column("Départements", width=120),
                    "ours": Column("Ce que nous avons changé"),
                },
                width=14,
            )
        )
        .with_panel(
            kit.rows(
                "Versions",
                Sql(VERSIONS),
                "Lecteurs et programme : de quand à quand ils ont travaillé.",
                {
                    "kind": Column("Quoi", width=90),
                    "version": Column("Version"),
                    "first_at": Column("Depuis", unit="dateTimeAsLocal"),
                    "last_at": Column("Vue", unit="dateTimeFromNow"),
                },
                width=10,
            )
        )
    )
