"""From checked tables to desks, channels and host rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from guichets.catalogue._departements import departements
from guichets.catalogue._row import Row, is_of_kind, text_problem
from guichets.catalogue._wording import departement_hint, did_you_mean, kinds_wanted, quoted
from guichets.catalogue.families import FAMILIES, Param
from guichets.catalogue.model import CHANNELS, PROCEDURES, Channel, Desk, HostRule
from guichets.catalogue.urls import canonical_url, host_problem, url_problem

MAX_ID_CHARACTERS = 100
MAX_DELAY_SECONDS = 86_400.0  # a day: beyond, say forbidden = true
MAX_NUMBER = 2**53 - 1  # what JSON keeps exactly

DESK_KEYS = (
    "id",
    "family",
    "departement",
    "office",
    "procedure",
    "label",
    "url",
    "params",
    "valid_from",
    "valid_to",
    "moved_to",
    "source",
    "note",
)
CHANNEL_KEYS = (
    "office",
    "departement",
    "procedure",
    "channel",
    "exclusive",
    "valid_from",
    "valid_to",
    "source",
    "note",
)
HOST_KEYS = ("host", "delay_seconds", "forbidden", "note")

_ID = re.compile(r"[a-z0-9-]+")
_CHANNEL_NAMES: Mapping[str, str] = dict.fromkeys(CHANNELS, "")


def read_desk(row: Row, *, file_departement: str | None) -> Desk | None:
    """The desk, or None when anything in its table was refused."""
    before = len(row.reasons)
    row.check_keys(DESK_KEYS)
    family = row.one_of("family", FAMILIES)
    valid_from, valid_to = row.period()
    desk = Desk(
        id=_desk_id(row),
        family=family,
        departement=_departement(row, file_departement, required=True),
        office=row.text("office", required=True) or "",
        procedure=row.one_of("procedure", PROCEDURES),
        label=row.text("label", required=True) or "",
        url=_url(row, family),
        params=_params(row, family),
        valid_from=valid_from,
        valid_to=valid_to,
        moved_to=row.text("moved_to"),
        source=row.text("source", several_lines=True),
        note=row.text("note", several_lines=True),
    )
    return desk if len(row.reasons) == before else None


def read_channel(row: Row, *, file_departement: str | None) -> Channel | None:
    """The channel; its département is the file's when the table does not say."""
    before = len(row.reasons)
    row.check_keys(CHANNEL_KEYS)
    valid_from, valid_to = row.period()
    channel = Channel(
        office=row.text("office", required=True) or "",
        departement=_departement(row, file_departement, required=file_departement is None),
        procedure=row.one_of("procedure", PROCEDURES),
        channel=row.one_of("channel", _CHANNEL_NAMES),
        exclusive=row.flag("exclusive"),
        valid_from=valid_from,
        valid_to=valid_to,
        source=row.text("source", several_lines=True),
        note=row.text("note", several_lines=True),
    )
    return channel if len(row.reasons) == before else None


def read_host(row: Row) -> HostRule | None:
    before = len(row.reasons)
    row.check_keys(HOST_KEYS)
    host = row.text("host", required=True) or ""
    problem = host_problem(host) if host else None
    if problem:
        row.refuse(f"host {quoted(host)} {problem}", "host")
    rule = HostRule(
        host=host.lower(),
        delay_seconds=row.seconds("delay_seconds", most=MAX_DELAY_SECONDS),
        forbidden=row.flag("forbidden"),
        note=row.text("note", several_lines=True),
    )
    return rule if len(row.reasons) == before else None


def _desk_id(row: Row) -> str:
    desk_id = row.text("id", required=True)
    if desk_id is None:
        return ""
    if not _ID.fullmatch(desk_id) or len(desk_id) > MAX_ID_CHARACTERS:
        row.refuse(
            f"id {quoted(desk_id)} must be 1 to {MAX_ID_CHARACTERS} letters a-z, digits and hyphens",
            "id",
        )
    return desk_id


def _departement(row: Row, file_departement: str | None, *, required: bool) -> str:
    if not required and "departement" not in row.table:
        return file_departement or ""
    known = departements()
    code = row.one_of("departement", known, hint=lambda word: departement_hint(word, known))
    if code and file_departement and code != file_departement:
        row.refuse(
            f'departement "{code}" is not the file\'s, "{file_departement}": '
            f"move the table to {code}.toml or correct the code",
            "departement",
        )
    return code


def _url(row: Row, family: str) -> str:
    url = row.text("url", required=True)
    if url is None:
        return ""
    problem = url_problem(url, family)
    if problem:
        row.refuse(f"url {quoted(url)} {problem}", "url")
        return ""
    return canonical_url(url)


def _params(row: Row, family: str) -> Mapping[str, Any]:
    params = row.value("params", (dict,))
    if not params or not family:  # of an unknown family no param can be judged
        return {}
    known = FAMILIES[family]
    for name, value in params.items():
        problem = _param_problem(known.get(name), value)
        if name not in known:
            takes = did_you_mean(name, known) if known else f" {family} takes none."
            row.refuse(
                f"param {quoted(name)} is unknown for family {quoted(family)}.{takes}", f"params.{name}"
            )
        elif problem:
            row.refuse(f"param {name} {quoted(value)} {problem}", f"params.{name}")
        elif known[name].is_url:
            params = {**params, name: canonical_url(value)}
    return dict(params)


def _param_problem(param: Param | None, value: Any) -> str | None:
    if param is None:
        return None
    if not is_of_kind(value, param.kinds):
        return f"must be {kinds_wanted(param.kinds)}"
    if param.choices and value not in param.choices:
        return "must be one of " + ", ".join(map(str, param.choices))
    if isinstance(value, int) and not 0 <= value <= MAX_NUMBER:
        return f"must be a number from 0 to {MAX_NUMBER}"
    if isinstance(value, str):
        return text_problem(value) or (url_problem(value) if param.is_url else None)
    return None
