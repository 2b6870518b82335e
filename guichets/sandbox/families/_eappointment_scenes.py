"""Every state of an eAppointment server, on demand, with the outcome it must be read as."""

from __future__ import annotations

import re
from dataclasses import replace

from guichets.outcomes import Outcome
from guichets.sandbox import replies
from guichets.sandbox.families import _eappointment_pages as pages
from guichets.sandbox.replies import Reply
from guichets.sandbox.scenes import COMMON, Fault, Occasion, Scene, Stage, everyone, status

_RESULT = re.compile(rb"(dwr\.engine\.(?:_remoteH|remote\.h)andleCallback\([^,]*,[^,]*,)[^\r\n]*\);")
_NESTED = "[" * 12 + "1" + "]" * 12


def _is_of_dialect_2(occasion: Occasion) -> bool:
    return b"_remoteHandle" in occasion.reply.body


def _result(literal: str) -> Fault:
    """The same reply with another result."""
    return lambda occasion: replace(
        occasion.reply,
        body=_RESULT.sub(lambda found: found[1] + literal.encode("ascii") + b");", occasion.reply.body),
    )


def _exception(occasion: Occasion) -> Reply:
    return pages.failure(dialect=2 if _is_of_dialect_2(occasion) else 3, batch="1")


def _cut(occasion: Occasion) -> Reply:
    """A reply that stops in its middle, politely."""
    return replace(occasion.reply, body=occasion.reply.body.rstrip()[:-12])


def _open_days(occasion: Occasion) -> Reply:
    """A list that holds the free days and no Sunday."""
    return _result('["2027-03-01","2027-03-02","2027-03-05"]')(occasion)


def _one_sunday(occasion: Occasion) -> Reply:
    """Closed days that stop after the first Sunday: what comes later is not told."""
    days = re.findall(rb"\d{4}-\d{2}-\d{2}", occasion.reply.body)
    return _result("[" + ",".join(f'"{day.decode()}"' for day in days[:8]) + "]")(occasion)


def _on(method: str, fault: Fault) -> Fault:
    """Befalls one method's replies alone."""
    return lambda occasion: fault(occasion) if method in occasion.path else occasion.reply


def _first_alone(place: int, count: int) -> Outcome:
    return Outcome.OFFERED if place == 0 else Outcome.NONE


_O = Outcome
_NONE, _OFFERED = everyone(_O.NONE), everyone(_O.OFFERED)
_PLAIN = {"flow": "plain"}
_MOTIVES = {"flow": "motives"}
_HOURS = "getHoursProposal"

_OWN: tuple[Scene, ...] = (
    Scene("none", _O.NONE, "each motive is answered by its message", _NONE, manners=_MOTIVES),
    Scene("none-service", _O.NONE, "« pas de rendez-vous disponible pour ce service »", _NONE,
          manners={**_MOTIVES, "message": "service"}),
    Scene("none-capitals", _O.NONE, "the same message in capitals", _NONE,
          manners={**_MOTIVES, "message": "capitals"}),
    Scene("none-dialect-2", _O.NONE, "a server that speaks DWR 2", _NONE,
          manners={**_MOTIVES, "dialect": 2, "built": "references"}),
    Scene("none-dialect-3", _O.NONE, "a server that speaks DWR 3", _NONE,
          manners={**_MOTIVES, "dialect": 3, "built": "inline"}),
    Scene("none-motives-by-dwr", _O.NONE, "motives that the page does not show", _NONE,
          manners={"flow": "beans"}),
    Scene("none-all-days-closed", _O.NONE, "no motives, and every day closed", _NONE, manners=_PLAIN),
    Scene("none-unknown-motive-list", _O.NONE, "motives in a shape nobody described: the days are asked for",
          _NONE, manners={**_PLAIN, "motive_list": "unknown"}),
    Scene("none-no-motive-step", _O.NONE, "a server without motives raises an exception when asked for them",
          _NONE, manners={**_PLAIN, "motive_list": "exception"}),
    Scene("offered", _O.OFFERED, "each motive has something free", _OFFERED, manners=_MOTIVES),
    Scene("offered-first-motive", _O.OFFERED, "only the first motive has", _first_alone, manners=_MOTIVES),
    Scene("offered-motives-by-dwr", _O.OFFERED, "motives that the page does not show", _OFFERED,
          manners={"flow": "beans"}),
    Scene("offered-free-day", _O.OFFERED, "no motives: a day is not closed, and has hours", _OFFERED,
          manners={**_PLAIN, "hours": "texts"}),
    Scene("offered-hour-objects", _O.OFFERED, "hours as objects", _OFFERED,
          manners={**_PLAIN, "hours": "objects"}),
    Scene("offered-references", _O.OFFERED, "replies built statement by statement", _OFFERED,
          manners={**_MOTIVES, "built": "references"}),
    Scene("offered-soonest", _O.OFFERED, "the page itself names the soonest dates", _OFFERED,
          manners={"flow": "soonest"}),
    Scene("offered-no-redirect", _O.OFFERED, "appointment.do shows the page itself", _OFFERED,
          manners={**_MOTIVES, "redirects": False}),
    Scene("offered-days-503", _O.OFFERED, "a motive has something free, its calendar answers 503", _OFFERED,
          status(503), Stage.CALENDAR, manners=_MOTIVES),
    Scene("offered-days-exception", _O.OFFERED, "the same, by an exception", _OFFERED, _exception,
          Stage.CALENDAR, manners=_MOTIVES),
    Scene("offered-days-without-sunday", _O.OFFERED, "the same, by a list that cannot be relied on", _OFFERED,
          _on("getClosedDays", _open_days), Stage.CALENDAR, manners=_MOTIVES),
    Scene("error-page", _O.OVERLOADED, "« Erreur », 200", stage=Stage.ENTRY,
          fault=lambda occasion: pages.error_page()),
    Scene("late-error-page", _O.OVERLOADED, "« Erreur » where the verdict should be", stage=Stage.ANSWER,
          fault=lambda occasion: pages.error_page()),
    Scene("exception", _O.OVERLOADED, "an exception in place of the days", fault=_exception,
          stage=Stage.ANSWER, manners=_PLAIN),
    Scene("exception-motive", _O.OVERLOADED, "an exception for each motive", fault=_exception,
          stage=Stage.ANSWER, manners=_MOTIVES),
    Scene("waf-status-403", _O.BLOCKED, "403 of the firewall", stage=Stage.ENTRY,
          fault=lambda occasion: pages.firewall_page()),
    Scene("postcode", _O.UNRECOGNISED, "led to the page that asks for a post code", stage=Stage.ENTRY,
          fault=lambda occasion: _to_postcode(occasion)),
    Scene("identity-form", _O.UNRECOGNISED, "the identity form and its captcha, where no visit leads",
          stage=Stage.ENTRY, fault=lambda occasion: pages.identity_page()),
    Scene("message-unknown", _O.UNRECOGNISED, "nothing found, with a message nobody described",
          fault=_result('{foundAvailabilities:false,msg:"Votre session a expir\\u00E9."}'),
          stage=Stage.ANSWER, manners=_MOTIVES),
    Scene("message-missing", _O.UNRECOGNISED, "nothing found, without a message",
          fault=_result("{foundAvailabilities:false,msg:null}"), stage=Stage.ANSWER, manners=_MOTIVES),
    Scene("null-answer", _O.UNRECOGNISED, "null where the verdict should be", fault=_result("null"),
          stage=Stage.ANSWER, manners=_MOTIVES),
    Scene("code-answer", _O.UNRECOGNISED, "code where data is due", stage=Stage.ANSWER,
          fault=_result("(function(){return {foundAvailabilities:false}})()"), manners=_MOTIVES),
    Scene("nested-answer", _O.UNRECOGNISED, "an answer nested twelve deep", fault=_result(_NESTED),
          stage=Stage.ANSWER, manners=_PLAIN),
    Scene("cut-answer", _O.UNREACHABLE, "an answer that stops in its middle, politely", fault=_cut,
          stage=Stage.ANSWER, manners=_MOTIVES),
    Scene("days-without-sunday", _O.UNRECOGNISED, "a list of days without a Sunday: free days, or nonsense",
          fault=_open_days, stage=Stage.ANSWER, manners=_PLAIN),
    Scene("days-empty", _O.UNRECOGNISED, "no closed day at all", fault=_result("[]"), stage=Stage.ANSWER,
          manners=_PLAIN),
    Scene("days-31-february", _O.UNRECOGNISED, "a closed day that does not exist", stage=Stage.ANSWER,
          fault=_result('["2027-02-28","2027-02-31"]'), manners=_PLAIN),
    Scene("days-end-early", _O.UNRECOGNISED, "closed days that end before the calendar does", _NONE,
          _one_sunday, Stage.ANSWER, manners=_PLAIN),
    Scene("hours-unknown", _O.UNRECOGNISED, "hours in a shape nobody described", _OFFERED,
          _on(_HOURS, _result("[540,555]")), Stage.ANSWER, manners=_PLAIN),
    Scene("hours-refused", _O.UNRECOGNISED, "an exception for the hours: our own doing, perhaps", _OFFERED,
          _on(_HOURS, _exception), Stage.ANSWER, manners=_PLAIN),
    Scene("hours-empty", _O.UNRECOGNISED, "free days without hours", _OFFERED,
          _on(_HOURS, _result("[]")), Stage.ANSWER, manners=_PLAIN),
)  # fmt: skip


def _to_postcode(occasion: Occasion) -> Reply:
    if "/specific/" in occasion.path:
        return occasion.reply
    application = occasion.path.split("/")[1]
    return replies.redirect(f"/{application}/element/jsp/specific/pref94.jsp")


SCENES: tuple[Scene, ...] = (*_OWN, *COMMON)
"""The one table: name, expected outcome, what happens."""
