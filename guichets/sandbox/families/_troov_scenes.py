"""Every state of a consulate's API, on demand, with the outcome it must be read as."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from guichets.outcomes import Outcome
from guichets.sandbox.replies import Reply
from guichets.sandbox.scenes import COMMON, Fault, Occasion, Scene, Stage, everyone

JSON_TYPE = ("Content-Type", "application/json; charset=utf-8")
TEAPOT = {
    "name": "ImATeapotError",
    "type": "IM_A_TEAPOT_ERROR_418",
    "status": 418,
    "message": "¯\\_(ツ)_/¯ 😅",
}


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value, ensure_ascii=False).encode(), status, (JSON_TYPE,))


def teapot() -> Reply:
    """To whoever comes without the handshake's headers."""
    return json_reply(TEAPOT, 418)


def _saying(value: Any, status: int = 200) -> Fault:
    return lambda occasion: json_reply(value, status)


def _body(body: bytes) -> Fault:
    return lambda occasion: Reply(body, 200, (JSON_TYPE,))


def _changed(**changes: Any) -> Fault:
    """The same object with other values."""

    def change(occasion: Occasion) -> Reply:
        value = json.loads(occasion.reply.body)
        return json_reply({**value, **changes})

    return change


def _services(**changes: Any) -> Fault:
    """The same team, its services changed."""

    def change(occasion: Occasion) -> Reply:
        team = json.loads(occasion.reply.body)
        key = "reservations_shop_availabilty"
        return json_reply({**team, key: [{**service, **changes} for service in team[key]]})

    return change


def _unchanged(occasion: Occasion) -> Reply:
    return occasion.reply


def _cut(occasion: Occasion) -> Reply:
    return replace(occasion.reply, body=occasion.reply.body[: len(occasion.reply.body) // 2])


def _every_other(place: int, count: int) -> Outcome:
    return (Outcome.OFFERED, Outcome.CLOSED, Outcome.NONE)[place % 3]


_O = Outcome
_DEEP: Any = 1
for _ in range(12):
    _DEEP = [_DEEP]

_OWN: tuple[Scene, ...] = (
    Scene("captcha", _O.CAPTCHA, "open, with its window", everyone(_O.OFFERED)),
    Scene("captcha-nothing-free", _O.CAPTCHA, "open and full: it looks the same", everyone(_O.NONE)),
    Scene("captcha-long-window", _O.CAPTCHA, "open for a year ahead", everyone(_O.OFFERED),
          manners={"window_days": 365}),
    Scene("captcha-one-day", _O.CAPTCHA, "a window of one day", everyone(_O.OFFERED),
          manners={"window_days": 0}),
    Scene("captcha-new-fields", None, "answers with fields nobody described", everyone(_O.OFFERED),
          _changed(weather=_DEEP), Stage.ENTRY),
    Scene("closed", _O.CLOSED, "every service switched off", everyone(_O.CLOSED)),
    Scene("some-closed", None, "services open and switched off", _every_other),
    Scene("no-handshake", _O.UNRECOGNISED, "a handshake without its headers", None, _unchanged, Stage.ENTRY,
          manners={"handshake": "missing"}),
    Scene("half-handshake", _O.UNRECOGNISED, "a handshake without the application's name", None, _unchanged,
          Stage.ENTRY, manners={"handshake": "half"}),
    Scene("teapot", _O.BLOCKED, "418 although the handshake was shown", None, _saying(TEAPOT, 418),
          Stage.ENTRY),
    Scene("late-teapot", _O.BLOCKED, "418 in place of the window", None, _saying(TEAPOT, 418), Stage.ANSWER),
    Scene("session-error", _O.UNRECOGNISED, "404 « SESSION_ERROR » in place of the window", None,
          _saying({"message": "SESSION_ERROR"}, 404), Stage.ANSWER),
    Scene("slug-unknown", _O.GONE, "404 for the slug", None, _saying({"message": "NOT_FOUND"}, 404),
          Stage.ENTRY),
    Scene("team-null", _O.UNRECOGNISED, "null in place of the consulate", None, _saying(None), Stage.ENTRY),
    Scene("team-list", _O.UNRECOGNISED, "a list in place of the consulate", None, _saying([]), Stage.ENTRY),
    Scene("team-without-services", _O.UNRECOGNISED, "a consulate without services", None,
          _changed(reservations_shop_availabilty=[]), Stage.ENTRY),
    Scene("team-other-spelling", _O.UNRECOGNISED, "its services under another name", None,
          _saying({"_id": "0" * 24, "reservations_shop_availability": []}), Stage.ENTRY),
    Scene("services-not-listed", _O.UNRECOGNISED, "services without their name", None, _services(name=None),
          Stage.ENTRY),
    Scene("services-half-open", _O.UNRECOGNISED, "is_open is a word", None, _services(is_open="true"),
          Stage.ENTRY),
    Scene("json-cut", _O.UNRECOGNISED, "half of the JSON, politely", None, _cut, Stage.ANSWER),
    Scene("json-half-letter", _O.UNRECOGNISED, "half a letter", None, _body(b'{"start":"2026-01-01\xc3"}'),
          Stage.ANSWER),
    Scene("json-nested", _O.UNRECOGNISED, "nested a thousand deep", None, _body(b"[" * 1000 + b"]" * 1000),
          Stage.ANSWER),
    Scene("window-empty", _O.UNRECOGNISED, "a window without days", None, _saying({}), Stage.ANSWER),
    Scene("window-null", _O.UNRECOGNISED, "null days", None, _saying({"start": None, "end": None}),
          Stage.ANSWER),
    Scene("window-31-february", _O.UNRECOGNISED, "a day that does not exist", None,
          _saying({"start": "2027-02-01", "end": "2027-02-31"}), Stage.ANSWER),
    Scene("window-backwards", _O.UNRECOGNISED, "ends before it starts", None,
          _saying({"start": "2027-02-02", "end": "2027-02-01"}), Stage.ANSWER),
    Scene("window-ten-years", _O.UNRECOGNISED, "ends in ten years", None,
          _saying({"start": "2027-02-01", "end": "2037-02-01"}), Stage.ANSWER),
    Scene("limit-status-429", _O.BLOCKED, "429 of the API", None, _saying({"message": "TOO_MANY"}, 429),
          Stage.ENTRY),
)  # fmt: skip

SCENES: tuple[Scene, ...] = (*_OWN, *COMMON)
"""The one table: name, expected outcome, what happens."""
