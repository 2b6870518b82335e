"""``guichets sandbox``: play préfecture sites on this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer


def sandbox(
    port: Annotated[int, typer.Option(help="Port d'écoute ; 0 = n'importe quel port libre.")] = 8000,
    seed: Annotated[
        int, typer.Option(help="Graine : la même donne les mêmes guichets et les mêmes vies.")
    ] = 1,
    desks: Annotated[int, typer.Option(help="Nombre de guichets.")] = 120,
    departements: Annotated[int, typer.Option(help="Nombre de départements (un hôte pour chacun).")] = 40,
    speed: Annotated[float, typer.Option(help="Vitesse du temps simulé ; 0 = figé.")] = 1.0,
    start: Annotated[
        str, typer.Option(help="Instant simulé de départ, par ex. 2026-03-29T00:30:00Z ; sinon maintenant.")
    ] = "",
    mixture: Annotated[
        str, typer.Option(help="realistic, lives, states, all, ou le nom d'une scène jouée par tous.")
    ] = "realistic",
    host_scheme: Annotated[
        str, typer.Option(help="Un hôte par adresse de boucle locale (address) ou par port (port).")
    ] = "auto",
    latency: Annotated[float, typer.Option(help="Attente avant chaque réponse, en millisecondes.")] = 0.0,
    family: Annotated[
        list[str] | None, typer.Option(help="Famille de plateforme ; répétable ; all = toutes.")
    ] = None,
    ledger: Annotated[Path | None, typer.Option(help="Fichier où noter chaque requête (JSON Lines).")] = None,
    catalogue: Annotated[
        Path | None, typer.Option(help="Dossier du catalogue à écrire ; sinon temporaire.")
    ] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Fichier JSON écrit quand tout répond.")] = None,
) -> None:
    """Jouer des sites de préfecture imaginaires, pour apprendre et essayer sans déranger personne."""
    from guichets.sandbox import Options
    from guichets.sandbox.families import families
    from guichets.sandbox.running import parse_start, run

    asked = family or ["ezbooking"]
    options = Options(
        families=tuple(families()) if "all" in asked else tuple(dict.fromkeys(asked)),
        port=port,
        seed=seed,
        desks=desks,
        departements=departements,
        speed=speed,
        mixture=mixture,
        host_scheme=host_scheme,
        latency_ms=latency,
        ledger=ledger,
        catalogue=catalogue,
        start=parse_start(start) if start else datetime.now(UTC),
    )
    raise typer.Exit(run(options, ready_file))
