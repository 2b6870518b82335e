"""The pages of an eAppointment server, in ISO-8859-1, and its DWR replies, in either dialect.

Names and identifiers are those that public programs use; what surrounds them is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from guichets.sandbox.replies import Reply

PAGE_TYPE = ("Content-Type", "text/html;charset=ISO-8859-1")
SCRIPT_TYPE = ("Content-Type", "text/javascript; charset=utf-8")
_GUARD = "throw 'allowScriptTagRemoting is false.';"
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin",
    "juillet", "août", "septembre", "octobre", "novembre", "décembre",
)  # fmt: skip


def french_day(day: Any) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def latin1_page(title: str, inside: str, status: int = 200) -> Reply:
    text = (
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "xhtml1-transitional.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml"><head>'
        '<meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-1" />'
        f"<title>{escape(title, quote=False)}</title></head><body>{inside}"
        "<p>Réservé aux usagers disposant d'un créneau horaire. Aucun rendez-vous n'est possible sans "
        "pièce d'identité.</p></body></html>"
    )
    return Reply(text.encode("iso-8859-1", "xmlcharrefreplace"), status, (PAGE_TYPE,))


def step_page(
    *,
    title: str,
    site: str,
    service: str,
    motives: Mapping[str, str] | None = None,
    soonest: Sequence[str] = (),
) -> Reply:
    """A step of the funnel: motives to tick, dates already found, or neither."""
    columns: list[list[str]] = [[], []]
    for place, (key, label) in enumerate((motives or {}).items()):
        columns[place % 2].append(
            f'<div class="motive"><label for="motive{key}">{escape(label, quote=False)}</label>'
            f'<span><input type="checkbox" id="motive{key}" name="selectedMotiveKeyList" value="{key}" />'
            "</span></div>"
        )
    fields = "".join(
        f'<input type="hidden" id="{name}" value="{value}" />'
        for name, value in (
            ("ISiteBeanKeySelect", site),
            ("serviceBeanKey", service),
            ("hourValueSelect", ""),
            ("dateFormatStrId", "dd/MM/yyyy"),
            ("offsetPageId", "0"),
            ("nbProposalsMaxId", "0"),
            ("previousValueId", "false"),
        )
    )
    found = f'<p class="soonestText">Prochaines dates : {", ".join(soonest)}</p>' if soonest else ""
    return latin1_page(
        "Prise de rendez-vous",
        f"<h1>{escape(title, quote=False)}</h1>"
        '<form id="form2" name="form2" method="post" action="appointment.do">'
        f'<div id="displayDiv"><div class="motiveField1">{"".join(columns[0])}</div>'
        f'<div class="motiveField2">{"".join(columns[1])}</div>{found}{fields}'
        '<div id="layerMotive" class="noLayerMotive"></div>'
        '<div id="timeareaempty" style="visibility:hidden">Aucune disponibilité</div>'
        '<input type="button" id="previousButtonId" value="Précédent" />'
        '<input type="button" id="nextButtonId" value="Suivant" /></div></form>',
    )


def postcode_page() -> Reply:
    """Val-de-Marne's page before the application: it finds the site by the post code."""
    return latin1_page(
        "Prise de rendez-vous",
        '<form class="form-horizontal" name="frm" action="javascript:coin()">'
        '<input type="text" name="CP" id="CPId" placeholder="Code Postal" />'
        '<input type="button" class="btn btn-primary" value="Continuer" /></form>',
    )


def identity_page() -> Reply:
    """The step after the hours, where no observer goes."""
    names = ("userCiv", "userLastName", "userFirstName", "userZip", "userEmail", "userPhone", "imgc")
    fields = "".join(f'<input type="text" name="{name}" />' for name in names)
    return latin1_page(
        "Prise de rendez-vous",
        f'<form id="form2" method="post" action="appointment.do">{fields}<div class="choice_captcha">'
        '<span class="img_captcha"><img src="captcha?1" alt="" /></span></div>'
        '<input type="button" id="nextButtonId" value="Suivant" /></form>',
    )


def error_page() -> Reply:
    return latin1_page("Erreur", "<h1>Une erreur est survenue</h1><p>Contactez votre administrateur.</p>")


def firewall_page() -> Reply:
    """The firewall's refusal."""
    return Reply(
        b"<html><head><META NAME='robots' CONTENT='noindex,nofollow'></head><body>"
        b"<p>Request unsuccessful. Incident ID: 1-2-3</p></body></html>",
        403,
        (("Content-Type", "text/html"),),
    )


# DWR


@dataclass(slots=True)
class _Writer:
    """Writes values as JavaScript; by references, as statements that build them first."""

    by_references: bool
    statements: list[str] = field(default_factory=list)

    def literal(self, value: Any) -> str:
        if isinstance(value, dict):
            return self._object(value) if self.by_references else self._inline(value)
        if isinstance(value, list | tuple):
            return self._array(value) if self.by_references else f"[{','.join(map(self.literal, value))}]"
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None:
            return "null"
        return quoted(value) if isinstance(value, str) else str(value)

    def _inline(self, value: Mapping[str, Any]) -> str:
        return "{" + ",".join(f"{key}:{self.literal(held)}" for key, held in value.items()) + "}"

    def _name(self, start: str) -> str:
        name = f"s{sum(line.startswith('var ') for line in self.statements)}"
        self.statements.append(f"var {name}={start};")
        return name

    def _object(self, value: Mapping[str, Any]) -> str:
        name = self._name("{}")
        for place, (key, held) in enumerate(value.items()):
            target = f"{name}['{key}']" if place % 2 else f"{name}.{key}"
            self.statements.append(f"{target}={self.literal(held)};")
        return name

    def _array(self, value: Sequence[Any]) -> str:
        name = self._name("[]")
        for place, held in enumerate(value):
            self.statements.append(f"{name}[{place}]={self.literal(held)};")
        return name


def quoted(text: str) -> str:
    """A string as DWR writes it: beyond ASCII escaped."""
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if " " <= letter <= "~":
        return letter
    units = letter.encode("utf-16-be").hex().upper()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def callback(value: Any, *, dialect: int, batch: str, built: str) -> Reply:
    """The reply that holds a result."""
    writer = _Writer(built == "references")
    literal = writer.literal(value)
    if dialect == 2:
        call = f"dwr.engine._remoteHandleCallback('{batch}','0',{literal});"
    else:
        call = f'dwr.engine.remote.handleCallback("{batch}","0",{literal});'
    return _script([*writer.statements, call], dialect)


def failure(*, dialect: int, batch: str, whole_batch: bool = False) -> Reply:
    """The reply that owns up to an exception."""
    if whole_batch:
        said = '{name:"org.directwebremoting.extend.ServerException",message:"Error. Details logged."}'
        name = "_remoteHandleBatchException" if dialect == 2 else "remote.handleBatchException"
        return _script([f"dwr.engine.{name}({said},'{batch}');"], dialect)
    said = '{javaClassName:"java.lang.Throwable",message:"Error"}'
    if dialect == 2:
        return _script([f"dwr.engine._remoteHandleException('{batch}','0',{said});"], dialect)
    return _script([f'dwr.engine.remote.handleException("{batch}","0",{said});'], dialect)


def _script(lines: Sequence[str], dialect: int) -> Reply:
    return Reply("\r\n".join(_framed(lines, dialect)).encode("ascii"), 200, (SCRIPT_TYPE,))


def _framed(lines: Sequence[str], dialect: int) -> Iterator[str]:
    yield _GUARD
    if dialect == 3:
        yield from ("(function(){", "if(!window.dwr)return;", "var dwr=window.dwr._[0];")
    yield from ("//#DWR-INSERT", "//#DWR-REPLY")
    yield from lines
    if dialect == 3:
        yield "})();"
    yield ""
