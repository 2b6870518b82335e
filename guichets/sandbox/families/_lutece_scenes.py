"""Every state of a Lutece desk, on demand, with the outcome it must be read as."""

from __future__ import annotations

from datetime import datetime

from guichets.outcomes import Outcome
from guichets.sandbox import replies
from guichets.sandbox.families import _lutece_pages as pages
from guichets.sandbox.replies import Reply
from guichets.sandbox.scenes import COMMON, Fault, Occasion, Scene, Stage, everyone, showing

_SOON = datetime(2030, 1, 7, 9, 15)  # noqa: DTZ001 - as the portal writes it; never believed, only refused
_FULL = pages.Listed("28", "Mairie du 3e", (), 0, 0, 40)
_FREE = pages.Listed("28", "Mairie du 3e", (_SOON,), 0, 1, 40)


def _numbers_only(occasion: Occasion) -> Reply:
    """In English, nothing listed, and the script says that no place is free."""
    text = pages.search_page((), keys={}, english=True, script="missing")
    return replies.page(text.replace("</body>", pages.free_places([_FULL], {"28": "28"}) + "</body>"))


def _both(occasion: Occasion) -> Reply:
    text = pages.search_page([_FREE], keys={"28": "28"})
    return replies.page(text.replace("</main>", f"<h3 class='text-warning'>{pages.NONE}</h3></main>"))


def _broken_events(occasion: Occasion) -> Reply:
    text = pages.calendar_page("28", [_SOON], (), ())
    return replies.page(text.replace("var events = [", "var events = [ build( "))


def _many_places(occasion: Occasion) -> Reply:
    listed = [pages.Listed(str(n), f"Mairie {n}", (_SOON,), 0, 1, 40) for n in range(1, 80)]
    return replies.page(pages.search_page(listed, keys={place.form: place.form for place in listed}))


def _to(location: str) -> Fault:
    return lambda occasion: replies.redirect(location)


def _last_offers(place: int, count: int) -> Outcome:
    return Outcome.OFFERED if place == count - 1 else Outcome.NONE


_O = Outcome
_NONE, _OFFERED, _CLOSED = everyone(_O.NONE), everyone(_O.OFFERED), everyone(_O.CLOSED)
_ENTRY = Stage.ENTRY

_OWN: tuple[Scene, ...] = (
    Scene("none", _O.NONE, "the portal's own sentence", _NONE, manners={"none": "message"}),
    Scene("none-fallback", _O.NONE, "a calendar's shorter sentence", _NONE, manners={"none": "fallback"}),
    Scene("none-full", _O.NONE, "a calendar whose slots are all full", _NONE, manners={"none": "full"}),
    Scene("none-shut", _O.NONE, "a calendar whose slots are all shut", _NONE, manners={"none": "shut"}),
    Scene(
        "none-by-numbers",
        _O.NONE,
        "a search in English, whose script says that no place is free",
        fault=_numbers_only,
        stage=_ENTRY,
    ),
    Scene("offered", _O.OFFERED, "slots, and the script that counts places", _OFFERED),
    Scene(
        "offered-english", _O.OFFERED, "the page in English: dates stand in links", _OFFERED,
        manners={"english": True},
    ),
    Scene("offered-last-place", _O.OFFERED, "only the last place has slots", _last_offers),
    Scene(
        "offered-no-numbers", _O.OFFERED, "no script that counts places", _OFFERED,
        manners={"script": "missing"},
    ),
    Scene(
        "offered-broken-numbers", _O.OFFERED, "the script that counts places is cut", _OFFERED,
        manners={"script": "malformed"},
    ),
    Scene(
        "offered-foreign-keys", _O.OFFERED, "the script names forms otherwise", _OFFERED,
        manners={"keys": "foreign"},
    ),
    Scene(
        "closed-inactive", _O.CLOSED, "« Le formulaire n'est pas actif »",
        fault=showing(pages.message_page(pages.INACTIVE)), stage=_ENTRY,
    ),
    Scene(
        "closed-expired", _O.CLOSED, "« Le formulaire n'est plus valide »",
        fault=showing(pages.message_page(pages.EXPIRED)), stage=_ENTRY,
    ),
    Scene(
        "account", _O.BLOCKED, "sent to moncompte.paris.fr",
        fault=_to("https://moncompte.paris.fr/moncompte/jsp/site/Portal.jsp"), stage=_ENTRY,
    ),
    Scene(
        "account-form", _O.BLOCKED, "a form that asks for a password",
        fault=showing(pages.account_page()), stage=_ENTRY,
    ),
    Scene(
        "english-in-silence", _O.UNRECOGNISED, "nothing listed, in English, without any number",
        fault=showing(pages.search_page((), keys={}, english=True, script="missing")), stage=_ENTRY,
    ),
    Scene(
        "own-message", _O.UNRECOGNISED, "a message of the form's own",
        fault=showing(pages.message_page("Revenez lundi à 9 h.")), stage=_ENTRY,
    ),
    Scene("both", _O.UNRECOGNISED, "slots, and the no-slot sentence", fault=_both, stage=_ENTRY),
    Scene(
        "empty-calendar", _O.UNRECOGNISED, "a calendar without a slot, and without a word",
        fault=showing(pages.calendar_page("28", (), (), ())), stage=_ENTRY,
    ),
    Scene("broken-events", _O.UNRECOGNISED, "the calendar's script is no plain data",
          fault=_broken_events, stage=_ENTRY),
    Scene("too-many-places", _O.UNRECOGNISED, "79 places", fault=_many_places, stage=_ENTRY),
    Scene(
        "none-quoted", _O.UNRECOGNISED, "a page that only quotes the no-slot sentence",
        fault=showing(pages.quoting_page()), stage=_ENTRY,
    ),
    Scene(
        "redirect-form", _O.OBSERVER_FAULT, "sent to the identity form, which the gate refuses",
        fault=_to("/rdvtitres/jsp/site/Portal.jsp?page=appointment&view=getViewAppointmentForm&id_form=28"),
        stage=_ENTRY,
    ),
    Scene(
        "late-redirect-form", _O.OBSERVER_FAULT, "the same in place of the verdict",
        fault=_to("/rdvtitres/jsp/site/Portal.jsp?page=appointment&view=getViewAppointmentForm&id_form=28"),
        stage=Stage.ANSWER,
    ),
)  # fmt: skip

SCENES: tuple[Scene, ...] = (*_OWN, *COMMON)
"""The one table: name, expected outcome, what happens."""
