"""Every state of the hub of town halls, on demand, with the outcome it must be read as."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from guichets.messages import join_messages, split_messages
from guichets.outcomes import Outcome
from guichets.sandbox.replies import Reply, conversation
from guichets.sandbox.scenes import COMMON, Fault, Occasion, Scene, Stage, everyone

JSON_TYPE = ("Content-Type", "application/json")
CAPTCHA = {"Erreur": "Captcha invalide"}
AROUND = "/api/MeetingPointsFromPosition"


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value, ensure_ascii=False).encode(), status, (JSON_TYPE,))


def end_of_search(failed: Any) -> str:
    """The last word of a search; ``failed``: how many softwares did."""
    end = {"step": "end_of_search", "editors_number": 3, "editor_errors_number": failed, "settings": {}}
    return json.dumps(end)


def _saying(value: Any, status: int = 200) -> Fault:
    return lambda occasion: json_reply(value, status)


def _told(*messages: str) -> Fault:
    """These messages in place of the search's."""
    return lambda occasion: conversation(*messages)


def _around(change: Callable[[list[dict[str, Any]]], Any]) -> Fault:
    """Another list of the mairies around; the other answers are as they were."""

    def fault(occasion: Occasion) -> Reply:
        if not occasion.path.startswith(AROUND):
            return occasion.reply
        return json_reply(change(json.loads(occasion.reply.body)))

    return fault


def _towns(change: Callable[[dict[str, Any]], Any]) -> Fault:
    """The same lists of the search, each town changed."""

    def fault(occasion: Occasion) -> Reply:
        messages = split_messages(occasion.reply.body) or []
        lists = [[change(town) for town in json.loads(message)] for message in messages[:-1]]
        said = [json.dumps(one, ensure_ascii=False).encode() for one in lists]
        return replace(occasion.reply, body=join_messages([*said, *messages[-1:]]))

    return fault


def _slots(*dates: Any) -> Fault:
    """Slots of these dates in place of each town's own."""
    slots = [{"datetime": written, "callback_url": "https://mairie.example/rdv"} for written in dates]
    return _towns(lambda town: {**town, "available_slots": slots})


def _and_yesterday(town: dict[str, Any]) -> dict[str, Any]:
    """A town that still shows slots of a day that is over."""
    over = {"datetime": "2024-02-29T09:00:00Z", "callback_url": "https://mairie.example/rdv"}
    return {**town, "available_slots": [over, *town["available_slots"]]}


def _unchanged(occasion: Occasion) -> Reply:
    return occasion.reply


def _every_other(place: int, count: int) -> Outcome:
    return (Outcome.OFFERED, Outcome.NONE)[place % 2]


_O = Outcome
_OFFERING = everyone(_O.OFFERED)
_FULL = everyone(_O.NONE)

_OWN: tuple[Scene, ...] = (
    Scene("offered", _O.OFFERED, "slots in every mairie", _OFFERING),
    Scene("offered-minutes", _O.OFFERED, "dates without seconds", _OFFERING, manners={"suffix": "Z"}),
    Scene("offered-offset", _O.OFFERED, "dates with +00:00", _OFFERING, manners={"suffix": ":00+00:00"}),
    Scene("offered-although-one-failed", _O.OFFERED, "slots, while another town's software failed",
          _OFFERING, manners={"asked": 2, "failed": 1}),
    Scene("offered-and-yesterday", None, "slots of a day that is over among them", _OFFERING,
          _towns(_and_yesterday), Stage.ANSWER),
    Scene("offered-new-fields", None, "towns with fields nobody described", _OFFERING,
          _towns(lambda town: {**town, "ugf": "75110", "weather": [[[]]]}), Stage.ANSWER),
    Scene("none", _O.NONE, "nothing free, every software answered", _FULL),
    Scene("none-two-softwares", _O.NONE, "nothing free, two softwares answered", _FULL,
          manners={"asked": 2}),
    Scene("some-full", None, "mairies with and without slots", _every_other),
    Scene("software-down", _O.OVERLOADED, "an empty list, and the end of the search counts an error", None,
          _unchanged, Stage.ANSWER, manners={"failed": 1, "software": "down"}),
    Scene("software-down-since", _O.OVERLOADED, "an error of two, status: every software is down", _FULL,
          _unchanged, Stage.ANSWER, manners={"asked": 2, "failed": 1, "software": "down"}),
    Scene("software-of-somebody-down", _O.UNRECOGNISED, "an error of two, status: every software is up",
          _FULL, _unchanged, Stage.ANSWER, manners={"asked": 2, "failed": 1}),
    Scene("status-without-editors", _O.UNRECOGNISED, "an error of two, and a status without any software",
          _FULL, _unchanged, Stage.ANSWER, manners={"asked": 2, "failed": 1, "software": "unlisted"}),
    Scene("mairie-unlisted", _O.GONE, "no mairie of the postcode, every software is up", None,
          _around(lambda listed: listed[:0]), Stage.ENTRY),
    Scene("mairie-elsewhere", _O.GONE, "the mairies now have another postcode", None,
          _around(lambda listed: [{**mairie, "zip_code": "00000"} for mairie in listed]), Stage.ENTRY),
    Scene("mairie-unlisted-software-down", _O.UNRECOGNISED, "no mairie of the postcode, a software is down",
          None, _around(lambda listed: listed[:0]), Stage.ENTRY, manners={"software": "down"}),
    Scene("captcha", _O.CAPTCHA, "« Captcha invalide » in place of the search", None,
          _told(json.dumps(CAPTCHA)), Stage.ANSWER),
    Scene("captcha-antibot", _O.CAPTCHA, "an antibot's token is asked for", None,
          _told(json.dumps({"step": "error", "message": "antibot_token is missing"})), Stage.ANSWER),
    Scene("captcha-at-once", _O.CAPTCHA, "« Captcha invalide » in place of the mairies", None,
          _saying(CAPTCHA), Stage.ENTRY),
    Scene("token-wanted", _O.BLOCKED, "401: the token's header is missing", None,
          _saying({"detail": "X-HUB-RDV-AUTH-TOKEN header invalid"}, 401), Stage.ENTRY),
    Scene("radius-status-403", _O.BLOCKED, "403: the radius is not allowed", None,
          _saying({"detail": "radius_km value not allowed"}, 403), Stage.ENTRY),
    Scene("limit-status-429", _O.BLOCKED, "429 of the API", None,
          _saying({"error": "Rate limit exceeded: 30 per 1 minute"}, 429), Stage.ENTRY),
    Scene("search-limit", _O.BLOCKED, "a bare « end_of_search »: too many searches a minute", None,
          _told("end_of_search"), Stage.ANSWER),
    Scene("around-null", _O.UNRECOGNISED, "null in place of the mairies", None, _saying(None), Stage.ENTRY),
    Scene("around-object", _O.UNRECOGNISED, "an object in place of the mairies", None, _saying({"a": 1}),
          Stage.ENTRY),
    Scene("around-without-postcodes", _O.UNRECOGNISED, "mairies without a postcode", None,
          _around(lambda listed: [{**mairie, "zip_code": None} for mairie in listed]), Stage.ENTRY),
    Scene("around-cut", _O.UNRECOGNISED, "half of the JSON, politely", None,
          lambda occasion: replace(occasion.reply, body=occasion.reply.body[: len(occasion.reply.body) // 2]),
          Stage.ENTRY),
    Scene("search-malformed", _O.UNRECOGNISED, "a last word that is no JSON", None,
          _told("[]", '{"step": "end_of_search", "editor_errors_number": 0'), Stage.ANSWER),
    Scene("search-without-errors", _O.UNRECOGNISED, "a last word that does not count the errors", None,
          _told("[]", end_of_search(None)), Stage.ANSWER),
    Scene("search-more-errors-than-softwares", _O.UNRECOGNISED, "more errors than softwares asked", None,
          _told("[]", end_of_search(2)), Stage.ANSWER),
    Scene("search-of-nobody", _O.UNRECOGNISED, "a search that asked no software", None,
          _told(end_of_search(0)), Stage.ANSWER),
    Scene("search-of-objects", _O.UNRECOGNISED, "an object in place of the lists", None,
          _told('{"201": []}', end_of_search(0)), Stage.ANSWER),
    Scene("search-nested", _O.UNRECOGNISED, "nested a thousand deep", None,
          _told("[" * 1000 + "]" * 1000, end_of_search(0)), Stage.ANSWER),
    Scene("slots-null", _O.UNRECOGNISED, "towns listed without slots", _OFFERING,
          _towns(lambda town: {**town, "available_slots": None}), Stage.ANSWER),
    Scene("slots-empty", _O.UNRECOGNISED, "towns listed with an empty list", _OFFERING, _slots(),
          Stage.ANSWER),
    Scene("slots-31-february", _O.UNRECOGNISED, "a day that does not exist", _OFFERING,
          _slots("2027-02-31T09:00:00Z"), Stage.ANSWER),
    Scene("slots-without-hour", _O.UNRECOGNISED, "days without an hour", _OFFERING, _slots("2027-02-01"),
          Stage.ANSWER),
    Scene("slots-over", _O.UNRECOGNISED, "nothing but days that are over", _OFFERING,
          _slots("2024-02-29T09:00:00Z"), Stage.ANSWER),
)  # fmt: skip

SCENES: tuple[Scene, ...] = (*_OWN, *COMMON)
"""The one table: name, expected outcome, what happens."""
