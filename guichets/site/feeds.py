"""One Atom feed per département: changes worth a notice, by the day, never a slot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from xml.etree import ElementTree

from guichets.site import formats
from guichets.statistics.observatory import DeskFacts, Place
from guichets.statistics.streaks import NOTICE_DAYS, Kind, Notice, notices_of

ATOM = "http://www.w3.org/2005/Atom"
ENTRIES = 50  # the newest
_TAG = "tag:guichets.example,2026"  # RFC 4151: an id that names no address, and stays


def notices(desks: Sequence[DeskFacts]) -> list[tuple[DeskFacts, Notice]]:
    """The newest notices of these desks, newest first."""
    found = [(desk, notice) for desk in desks for notice in notices_of(desk.days)]
    return sorted(found, key=lambda one: (-one[1].day.toordinal(), one[0].id))[:ENTRIES]


def feed_of(place: Place, desks: Sequence[DeskFacts], *, published_after_days: int) -> bytes:
    """The feed, whole. It is dated by its newest entry, so that nothing changes when nothing happened."""
    told = notices(desks)
    # What an Atom reader gets as the moment of publication: midnight of the day that could first be told.
    feed = ElementTree.Element("feed", {"xmlns": ATOM, "xml:lang": "fr"})
    _add(feed, "id", f"{_TAG}:departement/{place.code}")
    _add(feed, "title", f"Guichets : {_clean(place.name)} ({place.code})")
    newest = told[0][1].day if told else (desks[0].observed_since if desks else date(2026, 1, 1))
    _add(feed, "updated", _instant(newest + timedelta(days=published_after_days)))
    author = ElementTree.SubElement(feed, "author")
    _add(author, "name", "Guichets")
    ElementTree.SubElement(feed, "link", {"rel": "alternate", "href": f"../departements/{place.code}.html"})
    for desk, notice in told:
        entry = ElementTree.SubElement(feed, "entry")
        _add(entry, "id", f"{_TAG}:{desk.id}/{notice.kind}/{notice.day.isoformat()}")
        _add(entry, "title", _title(notice))
        _add(entry, "updated", _instant(notice.day + timedelta(days=published_after_days)))
        _add(
            entry,
            "summary",
            f"{formats.label(desk.label)}, {formats.label(desk.office)} : {_title(notice).lower()} "
            f"(constaté le {formats.day(notice.day, formats.FRENCH)}).",
        )
        ElementTree.SubElement(entry, "link", {"href": f"../departements/{place.code}.html"})
    ElementTree.indent(feed, " ")
    text: bytes = ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _title(notice: Notice) -> str:
    if notice.kind is Kind.DRY:
        return f"Plus aucun rendez-vous depuis {NOTICE_DAYS} jours"
    return f"Réouverture après {notice.days} jours sans rendez-vous"


def _instant(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _add(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, name).text = _clean(text)


def _clean(text: str) -> str:
    return "".join(part for part in text if part.isprintable())
