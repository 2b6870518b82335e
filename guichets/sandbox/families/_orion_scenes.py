"""Every state of an Orion page, on demand, with the outcome it must be read as."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from guichets.outcomes import Outcome
from guichets.sandbox.replies import Reply
from guichets.sandbox.scenes import COMMON, Fault, Occasion, Scene, Stage, everyone, status

JSON_TYPE = ("Content-Type", "application/json; charset=utf-8")


def json_reply(value: Any, code: int = 200) -> Reply:
    return Reply(json.dumps(value, ensure_ascii=False).encode(), code, (JSON_TYPE,))


def _saying(value: Any, code: int = 200) -> Fault:
    return lambda occasion: json_reply(value, code)


def _body(body: bytes) -> Fault:
    return lambda occasion: Reply(body, 200, (JSON_TYPE,))


def _cut(occasion: Occasion) -> Reply:
    return replace(occasion.reply, body=occasion.reply.body[: len(occasion.reply.body) // 2])


def _as_attachment(occasion: Occasion) -> Reply:
    return occasion.reply.with_header("Content-Disposition", 'attachment; filename="rendez-vous.html"')


_O = Outcome
_OFFERED, _NONE = everyone(_O.OFFERED), everyone(_O.NONE)
_DEEP: Any = 1
for _ in range(12):
    _DEEP = [_DEEP]


def _odd(name: str, outcome: Outcome, sentence: str, *, slow: bool = False) -> Scene:
    """The page does something besides, and goes on if it can: the desk offers days all the same."""
    stage = None if outcome is _O.OFFERED else Stage.ENTRY
    return Scene(f"odd-{name}", outcome, sentence, _OFFERED, None, stage, slow=slow, manners={"odd": name})


_OWN: tuple[Scene, ...] = (
    Scene("none", _O.NONE, "an empty list, and the message", _NONE),
    Scene("none-late", _O.NONE, "the message comes a second later", _NONE, manners={"late_ms": 1000}),
    Scene("offered", _O.OFFERED, "several days", _OFFERED, manners={"most_days": 9}),
    Scene("offered-one-day", _O.OFFERED, "one day", _OFFERED, manners={"most_days": 1}),
    Scene("offered-late", _O.OFFERED, "days that are drawn a second later", _OFFERED,
          manners={"late_ms": 1000}),
    Scene("offered-strings", _O.OFFERED, "days that are mere strings", _OFFERED,
          manners={"shape": "strings"}),
    Scene("offered-instants", _O.OFFERED, "days with their slots, as instants", _OFFERED,
          manners={"shape": "instants"}),
    Scene("offered-undated", _O.OFFERED, "days without a date for machines", _OFFERED, None, Stage.CALENDAR,
          manners={"shape": "undated"}),
    Scene("offered-two-dates", _O.OFFERED, "days with two dates each: which is it?", _OFFERED, None,
          Stage.CALENDAR, manners={"shape": "two-dates"}),
    Scene("asks-twice", _O.OFFERED, "the page asks twice", _OFFERED, manners={"twice": True}),
    Scene("days-beside-message", _O.UNRECOGNISED, "days, and the message of none: a contradiction", _OFFERED,
          None, Stage.ENTRY, manners={"says": "message"}),
    Scene("days-beside-error", _O.UNRECOGNISED, "days, and a message of failure", _OFFERED, None, Stage.ENTRY,
          manners={"says": "error"}),
    Scene("empty-beside-error", _O.UNRECOGNISED, "an empty list, and a message of failure", _NONE, None,
          Stage.ENTRY, manners={"says": "error"}),
    Scene("empty-in-silence", _O.UNRECOGNISED, "an empty list, and no message", _NONE, None, Stage.ENTRY,
          manners={"says": "nothing"}),
    Scene("never-asks", _O.UNRECOGNISED, "the page asks for nothing", None, None, Stage.ENTRY,
          manners={"never": True}),
    Scene("configuration-500", _O.OVERLOADED, "500 for the configuration, and a message of failure", None,
          None, Stage.ENTRY, manners={"configuration": 500}),
    Scene("configuration-404", _O.UNRECOGNISED, "404 for the configuration", None, None, Stage.ENTRY,
          manners={"configuration": 404}),
    Scene("configuration-status-403", _O.BLOCKED, "403 for the configuration alone", None, None, Stage.ENTRY,
          manners={"configuration": 403}),
    Scene("configuration-empty", _O.OVERLOADED, "a configuration without purposes, and a message of failure",
          None, None, Stage.ENTRY, manners={"configuration": 0}),
    Scene("slots-500", _O.OVERLOADED, "500 for the slots, and a message of failure", None, status(500),
          Stage.ANSWER),
    Scene("slots-404", _O.UNRECOGNISED, "404 for the slots", None, _saying({"error": "no"}, 404),
          Stage.ANSWER),
    Scene("slots-null", _O.UNRECOGNISED, "null in place of the answer", None, _saying(None), Stage.ANSWER),
    Scene("slots-list", _O.UNRECOGNISED, "a list in place of the answer", None, _saying([]), Stage.ANSWER),
    Scene("slots-without-days", _O.UNRECOGNISED, "an answer without its list", None, _saying({}),
          Stage.ANSWER),
    Scene("slots-days-null", _O.UNRECOGNISED, "null in place of the list", None, _saying({"daySlots": None}),
          Stage.ANSWER),
    Scene("slots-days-object", _O.UNRECOGNISED, "an object in place of the list", None,
          _saying({"daySlots": {}}),
          Stage.ANSWER),
    Scene("slots-days-empty-objects", _O.UNRECOGNISED, "days that are empty objects", None,
          _saying({"daySlots": [{}, {}]}), Stage.ANSWER),
    Scene("slots-too-many-days", _O.UNRECOGNISED, "two thousand days", None,
          _saying({"daySlots": [{"day": "2026-12-01"}] * 2000}), Stage.ANSWER),
    Scene("slots-cut", _O.UNRECOGNISED, "half of the JSON, politely", None, _cut, Stage.ANSWER),
    Scene("slots-nested", _O.UNRECOGNISED, "nested a thousand deep", None, _body(b"[" * 1000 + b"]" * 1000),
          Stage.ANSWER),
    Scene("attachment", _O.UNRECOGNISED, "the document as a file to save", None, _as_attachment, Stage.ENTRY),
    _odd("booking", _O.OBSERVER_FAULT, "the page books by itself: the gate refuses"),
    _odd("person-in-request", _O.OBSERVER_FAULT, "the page names a person: the gate refuses"),
    _odd("beacon", _O.OBSERVER_FAULT, "the page sends a forbidden beacon"),
    _odd("form", _O.OBSERVER_FAULT, "the page submits a form by itself"),
    _odd("booking-window", _O.OBSERVER_FAULT, "the page opens a window that would book"),
    _odd("socket", _O.OBSERVER_FAULT, "the page opens a WebSocket on its host"),
    _odd("worker", _O.OBSERVER_FAULT, "a worker of the page asks for something forbidden"),
    _odd("leaves", _O.OBSERVER_FAULT, "the page goes to another host"),
    _odd("third-parties", _O.OFFERED, "calls to other hosts, of every kind"),
    _odd("dialog", _O.OFFERED, "alert, confirm, prompt, and a page that does not want to close"),
    _odd("popup", _O.OFFERED, "windows"),
    _odd("download", _O.OFFERED, "a file is offered for saving"),
    _odd("service-worker", _O.OFFERED, "a service worker is registered"),
    _odd("throws", _O.OFFERED, "errors of the script that nobody catches"),
    _odd("moves", _O.OFFERED, "a page that never stops changing", slow=True),
    _odd("hang", _O.UNRECOGNISED, "a script that never ends", slow=True),
    _odd("memory", _O.OBSERVER_FAULT, "a script that takes all memory", slow=True),
    _odd("reload", _O.UNRECOGNISED, "a page that loads itself again for ever", slow=True),
    _odd("polls", _O.UNRECOGNISED, "a page that asks for its slots for ever", slow=True),
)  # fmt: skip

SCENES: tuple[Scene, ...] = (*_OWN, *COMMON)
"""The one table: name, expected outcome, what happens."""
