"""ESII Orion, the appointment pages of esii-orion.com: an application, which must run to tell anything.

Who         Préfecture d'Ille-et-Vilaine (account EVMSPI), 2023-2026.
Address     /orion-reservation/slots?account=…&config=…&usemode=app[&code=…]: config is a family of desks,
            code a place.
Funnel      the document, empty without its script -> the page asks for its configuration -> it asks POST
            …/bookings/availableSlotByDay. The spider waits for that answer and for what the page then shows.
Full        an answer whose daySlots is an empty list, and a message that can be seen (div.user-msg) which is
            not of class error. The sentence is in no source, so its class is matched and its text is kept.
            Neither of the two is enough alone.
Failing     a request of the page answered 5xx; a message of class error where the page was told nothing.
Refusing    403 or 429 to any request of the page.
Stops at    availableSlotByDay, read only. Nothing is clicked, typed or sent but by the page as it opens.
Counters    none.
Params      none.
Caveats     answer and page are two signals that must agree: days beside any message, or an empty list beside
            an error or beside nothing, are `unrecognised`. A message beside days may be mere information;
            until its words are known it is a contradiction. Dates are told only when each day of the answer
            has exactly one that is written for machines; a day may hold several appointments.
Unknown     the inner shape of daySlots; the sentence of the message; what the page asks before (a GET below
            /orion/api/1/ is let through unless its name acts; any other POST is refused, and logged).
Sources     platform dossier of the others, §4 (one published call with its body, public programs 2023-2026);
            nothing checked on a live site.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from guichets.dates import day_of, read_machine_date
from guichets.gate import JSON_TYPE, Allow, Gate
from guichets.items import Slot
from guichets.outcomes import Outcome
from guichets.page import JSON, Page, Reading, read_transport, visible_text
from guichets.visit import View, Watch
from spiders.base import Probe
from spiders.browsing import BrowsingSpider

CODE = r"[A-Za-z0-9_-]{1,64}"
SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}"
# Words of a path that acts on a booking, names a person or passes a check: such interfaces use them.
ACTING = (
    r"(?![^?]*(?:book(?!ings/)|reserv|confirm|cancel|annul|delet|remov|lock|hold|creat|updat|save|captcha"
    r"|usager|user|auth|login|token|sms|mail))"
)
ASKED_BESIDES = dict.fromkeys(
    ("account", "accountId", "config", "configId", "code", "usemode", "lang", "v"), CODE
)
SLOTS = "/orion/api/1/rdv/bookings/availableSlotByDay"
NUMBER = r"-?\d{1,6}"
ID = r'"[A-Za-z0-9_-]{1,64}"'
FLAG = r"true|false|null"

GATE = Gate(
    rows=(
        Allow(
            "GET",
            "/orion-reservation/slots",
            query={"account": CODE, "config": CODE},
            optional={"usemode": CODE, "code": CODE},
        ),
        Allow(
            "GET",
            rf"/orion-reservation/(?:{SEGMENT}/){{0,4}}{SEGMENT}\.(?:js|mjs|css|json)",
            optional={"v": CODE},
        ),
        Allow(
            "GET",
            rf"(?i:{ACTING})/orion/api/1/{SEGMENT}(?:/{SEGMENT}){{0,7}}",
            optional=ASKED_BESIDES,
        ),
        Allow(
            "POST",
            SLOTS,
            json={
                "date": r'null|"\d{4}-\d\d-\d\d[0-9T:.Z+-]{0,20}"',
                "maxElement": rf"{NUMBER}|null",
                "maxElementBySite": rf"{NUMBER}|null",
                "numberOfDay": rf"{NUMBER}|null",
                "accountId": ID,
                "usagerUid": "null",  # nobody
                "purposes": r"\[\{[\s\S]{1,100000}\}\]",  # whole objects, as the platform gave them
                "configId": ID,
                "duration": rf'{NUMBER}|null|"[0-9:]{{1,12}}"',
                "filterRequest": r"\{[^{}]{0,4000}\}",
                "ignoreResource": FLAG,
                "external": FLAG,
                "indexPagination": rf"{NUMBER}|null",
                "slotsPerPage": rf"{NUMBER}|null",
            },
            content_type=JSON_TYPE,
        ),
    ),
    stops_at="availableSlotByDay",
)

WATCH = Watch(answer=SLOTS, message="div.user-msg")
MAX_DAYS = 800  # a page that shows more is not one we know
MAINTENANCE = ("maintenance", "site indisponible")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Reading):
    """A reading of one of the two signals."""

    days: int | None = None  # in the answer; None where it tells no list
    message: str = ""  # what the page says to people
    is_error: bool = False


def _unrecognised(rule: str, step: str, note: str | None = None) -> Told:
    return Told(outcome=Outcome.UNRECOGNISED, rule=rule, step=step, note=note)


# The answers


def read_document(page: Page) -> Told:
    """The application's document, which says nothing by itself. Never raises, whatever the bytes."""
    if 200 <= page.status <= 299 and _is_maintenance(page):
        return Told(outcome=Outcome.OVERLOADED, rule="orion.overloaded.maintenance", step="document")
    refusal = read_transport(page, family="orion")
    if refusal is not None:
        return Told(outcome=refusal.outcome, rule=refusal.rule, step="document")
    if page.headers.get("content-disposition", "").strip().lower().startswith("attachment"):
        return _unrecognised("orion.unrecognised.attachment", "document")
    if "<script" not in page.text.lower():
        return _unrecognised("orion.unrecognised.no-script", "document")
    return Told(rule="orion.document", step="document")


def _is_maintenance(page: Page) -> bool:
    if page.root is None or page.may_be_cut:
        return False
    titles = [visible_text(title).lower() for title in page.root.iter("title", "h1")]
    return any(word in title for title in titles for word in MAINTENANCE)


def read_answer(page: Page) -> Told:
    """The days with slots, as the host answered the page. Never raises, whatever the bytes."""
    if page.status in {404, 410}:  # an address of the interface, and not the desk
        return _unrecognised("orion.unrecognised.answer-missing", "slots")
    refusal = read_transport(page, family="orion", kinds=JSON)
    if refusal is not None:
        return Told(outcome=refusal.outcome, rule=refusal.rule, step="slots")
    listed = page.json.get("daySlots") if isinstance(page.json, dict) else None
    if not isinstance(listed, list):
        return _unrecognised("orion.unrecognised.answer", "slots")
    if len(listed) > MAX_DAYS or not all(isinstance(day, dict | str) and day for day in listed):
        return _unrecognised("orion.unrecognised.days", "slots")
    if not listed:
        return Told(rule="orion.answer.empty", step="slots", days=0)
    days = {_read_day(day) for day in listed}
    is_dated = None not in days
    slots = tuple(sorted((day for day in days if day is not None), key=day_of)) if is_dated else ()
    return Told(
        rule="orion.answer.days",
        step="slots",
        days=len(listed),
        slots=slots,
        slot_count=len(slots) if is_dated else None,
    )


def _read_day(day: Any) -> Slot | None:
    """The day of one element, if it names exactly one; no hour, because nobody said which one is meant."""
    texts = [day] if isinstance(day, str) else [value for value in day.values() if isinstance(value, str)]
    found = {day_of(slot) for text in texts if (slot := read_machine_date(text)) is not None}
    return Slot(found.pop()) if len(found) == 1 else None


def read_shown(page: Page) -> Told:
    """What the page says to people: its message, and whether it is one of failure. Never raises."""
    refusal = read_transport(page, family="orion")
    if refusal is not None:
        return Told(outcome=refusal.outcome, rule=refusal.rule, step="shown")
    messages = () if page.root is None else page.root.iter("div")
    said = [
        (classes, text)
        for message in messages
        if "user-msg" in (classes := (message.get("class") or "").split()) and (text := visible_text(message))
    ]
    if not said:
        return Told(rule="orion.shown.nothing", step="shown")
    text = " / ".join(dict.fromkeys(text for _, text in said))[:4000]
    is_error = any("error" in classes for classes, _ in said)
    rule = "orion.shown.error" if is_error else "orion.shown.message"
    return Told(rule=rule, step="shown", message=text, is_error=is_error, facts=(("messages", text),))


# Both together


def read_view(view: View) -> Reading:
    """What answer and page say together. Pure, and never raises."""
    shown = read_shown(view.shown)
    answers = [page for page in view.answers[1:] if WATCH.matches(page.url)]
    reading = _judge(answers, shown, view) if shown.outcome is None else shown
    return Reading(
        outcome=reading.outcome,
        rule=reading.rule,
        step=reading.step,
        slots=reading.slots,
        slot_count=reading.slot_count,
        note=reading.note,
        facts=shown.facts,
    )


def _judge(answers: list[Page], shown: Told, view: View) -> Told:
    if not answers:
        return _without_answer(shown, view)
    told = [read_answer(page) for page in answers]
    last = told[-1]
    if last.outcome is not None:
        return last
    if any(one.outcome is None and (one.days, one.slots) != (last.days, last.slots) for one in told):
        return _unrecognised("orion.unrecognised.answers-differ", "slots")
    if last.days:
        if shown.message:
            return _unrecognised("orion.unrecognised.days-beside-message", "shown", shown.message[:300])
        return replace(last, outcome=Outcome.OFFERED, rule="orion.offered.days")
    if not shown.message:
        return _unrecognised("orion.unrecognised.empty-without-message", "shown")
    if shown.is_error:
        return _unrecognised("orion.unrecognised.empty-beside-error", "shown", shown.message[:300])
    return replace(last, outcome=Outcome.NONE, rule="orion.none.empty-and-message", step="shown")


def _without_answer(shown: Told, view: View) -> Told:
    """The page never learnt of its slots: what it asked for in vain says why, else what it says itself."""
    for page in view.answers[1:]:
        if page.status >= 400:
            refusal = read_transport(page, family="orion")
            assert refusal is not None
            if refusal.outcome is not Outcome.GONE:  # a part of the page, and not the desk
                return Told(outcome=refusal.outcome, rule=refusal.rule, step="configuration")
            return _unrecognised("orion.unrecognised.part-missing", "configuration", page.url[:300])
    if shown.is_error:
        rule = "orion.overloaded.error-message"
        return Told(outcome=Outcome.OVERLOADED, rule=rule, step="shown", note=shown.message[:300])
    return _unrecognised("orion.unrecognised.never-asked", "shown", shown.message[:300] or None)


class OrionSpider(BrowsingSpider):
    name = "orion"
    gate = GATE
    parser_version = 1
    entry = rf"/orion-reservation/slots\?account={CODE}&config={CODE}(&(usemode|code)={CODE}){{0,2}}"
    readers = MappingProxyType[str, Callable[[Page], Reading]](
        {"page": read_document, "answer": read_answer, "shown": read_shown}
    )

    @staticmethod
    def has_anchor(page: Page) -> bool:
        """The answer's list of days, or the frame of its messages."""
        return (isinstance(page.json, dict) and "daySlots" in page.json) or "user-msg" in page.text

    async def walk(self, probe: Probe) -> None:
        document = await probe.get(probe.desk.url)
        if document.outcome is not None:
            probe.conclude(document)
            return
        probe.conclude(await probe.browse(WATCH, read_view))
