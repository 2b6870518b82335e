"""DWR (Direct Web Remoting) as data: bodies of calls in both dialects, and replies read without running them.

A reply is JavaScript. What stands here takes it for a list of assignments and one call, and refuses anything
else: nothing is evaluated, nothing is looked up beyond the names that the reply itself declared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MAX_CHARACTERS = 1_000_000  # a year of closed days is some five thousand
MAX_DEPTH = 8  # of literals one inside the other
DIALECTS = (2, 3)
LONGEST_FAILURE = 200  # characters of an exception that are kept

_WORD = r"[A-Za-z0-9_.-]{1,40}"  # a key that needs no escaping in a body
_BATCH = r"\d{1,4}"
_VALUE_MARK, _PAGE_MARK, _BATCH_MARK = "\x01", "\x02", "\x03"


class NotDwr(Exception):
    """The text is no reply of DWR's, or holds code where data is due."""


class CutReply(NotDwr):
    """A reply of DWR's that ends before its end."""


# Calls


@dataclass(frozen=True, slots=True)
class Method:
    """One remote method, and the arguments that the server puts in itself.

    Dialect 2 sends those as ``boolean:false``, before and after the real ones; dialect 3 leaves them out.
    """

    script: str
    name: str
    kinds: tuple[str, ...] = ()  # of the real arguments: "string", or "map" of one key to the number 1
    before: int = 0
    after: int = 0

    @property
    def file(self) -> str:
        """The last part of the address that is posted to."""
        return f"{self.script}.{self.name}.dwr"

    def body(self, values: Sequence[str], *, dialect: int, page: str, batch: int) -> bytes:
        """One call, as made from the path ``page``; ValueError for a value that would have to be escaped."""
        for value in values:
            if not is_plain(value):
                raise ValueError(f"{value!r} cannot be sent to {self.script}.{self.name} as it is")
        return self._text(values, dialect, _escaped(page, dialect), str(batch)).encode("ascii")

    def pattern(self, page: str) -> str:
        """Expression of the bodies that may leave, in either dialect; ``page`` is an expression too."""
        patterns = []
        for dialect in DIALECTS:
            text = self._text([_VALUE_MARK] * len(self.kinds), dialect, _PAGE_MARK, _BATCH_MARK)
            text = re.escape(text).replace(_VALUE_MARK, _WORD).replace(_BATCH_MARK, _BATCH)
            patterns.append(text.replace(_PAGE_MARK, _escaped(page, dialect)))
        return "|".join(patterns)

    def _text(self, values: Sequence[str], dialect: int, page: str, batch: str) -> str:
        call = [f"c0-scriptName={self.script}", f"c0-methodName={self.name}", "c0-id=0"]
        call += self._arguments(values, dialect)
        if dialect == 2:
            head = ["callCount=1", f"page={page}", "httpSessionId=", "scriptSessionId="]
            lines = [*head, *call, f"batchId={batch}"]
        else:
            tail = [f"batchId={batch}", "instanceId=0", f"page={page}", "scriptSessionId="]
            lines = ["callCount=1", "nextReverseAjaxIndex=0", *call, *tail]
        return "".join(f"{line}\n" for line in lines)

    def _arguments(self, values: Sequence[str], dialect: int) -> list[str]:
        before, after = (self.before, self.after) if dialect == 2 else (0, 0)
        lines = [f"c0-param{place}=boolean:false" for place in range(before)]
        for place, (kind, value) in enumerate(zip(self.kinds, values, strict=True), start=before):
            if kind == "map":
                lines.append("c0-e1=number:1")
                lines.append(f"c0-param{place}=Object_Object:{{{value}:reference:c0-e1}}")
            else:
                lines.append(f"c0-param{place}=string:{value}")
        last = before + len(self.kinds)
        return lines + [f"c0-param{place}=boolean:false" for place in range(last, last + after)]


def is_plain(value: str) -> bool:
    """Whether a key can be sent as it is."""
    return re.fullmatch(_WORD, value) is not None


def _escaped(page: str, dialect: int) -> str:
    return page if dialect == 2 else page.replace("/", "%2F")


# Replies


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reply says: a value, or the failure the server owns up to."""

    dialect: int
    value: Any = None  # dict, list, str, int, float, bool, None, aware datetime
    failure: str | None = None  # class and message of the exception


_THROW = "throw 'allowScriptTagRemoting is false.';"
_WRAPPER_START = "(function(){"
_WRAPPER_END = "})();"
_WRAPPER_LINES = re.compile(r"if\(!window\.dwr\)return;|var dwr=window\.dwr\._\[\d{1,3}\];")
_MARKS = ("dwr.engine.", "//#DWR-", _THROW)
_RESULT = re.compile(r"dwr\.engine\.(?:_remoteH|(remote\.)h)andle(Callback|Exception|BatchException)")
_IGNORED = re.compile(r"dwr\.engine\.(?:_remoteH|remote\.h)andle(?:NewScriptSession|NewWindowName)")
_TOKEN = re.compile(
    r"\s*(?:(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<number>-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?(?![\w.]))"
    r"|(?P<name>[A-Za-z_$][\w$]{0,60}(?:\.[A-Za-z_$][\w$]{0,60}){0,4})"
    r"|(?P<mark>[\[\]{}(),:;=])|(?P<end>$))",
    re.ASCII,
)
_PLAIN_LIST = re.compile(r"\s*(?:\"[ !#-\[\]-~]*\",)*\"[ !#-\[\]-~]*\"\]")  # what follows the first bracket
_OPEN_STRING = re.compile(r"\s*(?:\"(?:[^\"\\\n]|\\.)*|'(?:[^'\\\n]|\\.)*)\\?$|\s*-$", re.ASCII)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_WORDS = {"true": True, "false": False, "null": None, "undefined": None}


def read_reply(text: str) -> Reply:
    """The one result of a reply. Raises NotDwr, or CutReply for a beginning of one."""
    if len(text) > MAX_CHARACTERS:
        raise NotDwr("longer than any reply")
    if not any(mark in text for mark in _MARKS):
        raise NotDwr("no mark of DWR's")
    return _Reader(_statements(text)).read()


def _statements(text: str) -> str:
    """The reply without its frame: comments, the guard against script tags, the wrapper of dialect 3."""
    kept: list[str] = []
    is_open = False
    for line in text.splitlines():
        stripped = line.strip()
        if stripped == _WRAPPER_START and not is_open and not kept:
            is_open = True
        elif stripped == _WRAPPER_END and is_open:
            is_open = False
        elif not (stripped.startswith("//") or stripped == _THROW or _WRAPPER_LINES.fullmatch(stripped)):
            kept.append(stripped)
    if is_open:
        raise CutReply("the wrapper is not closed")
    return "\n".join(kept)


class _Reader:
    """One walk over the tokens of a reply's statements."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._names: dict[str, Any] = {}
        self._kind, self._token = "", ""
        self._advance()

    def read(self) -> Reply:
        result: Reply | None = None
        while self._kind != "end":
            found = self._statement()
            if found is not None and result is not None:
                raise NotDwr("two results")
            result = found or result
        if result is None:
            raise CutReply("no result")
        return result

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._place)
        if found is None:
            if _OPEN_STRING.match(self._text, self._place):
                raise CutReply("ends inside a text")
            raise NotDwr(f"neither name, value nor mark: {self._text[self._place : self._place + 20]!r}")
        self._place = found.end()
        self._kind = found.lastgroup or "end"
        self._token = found[self._kind]

    def _take(self, wanted: str) -> None:
        """Go past a mark or a name that must stand here."""
        if not self._is(wanted):
            self._stop(f"{wanted!r} expected")
        self._advance()

    def _is(self, wanted: str) -> bool:
        return self._kind in {"mark", "name"} and self._token == wanted

    def _stop(self, reason: str) -> None:
        if self._kind == "end":
            raise CutReply(f"{reason}, and the reply ends")
        raise NotDwr(f"{reason}, not {self._token[:20]!r}")

    def _name(self) -> str:
        if self._kind != "name":
            self._stop("a name expected")
        name = self._token
        self._advance()
        return name

    def _statement(self) -> Reply | None:
        if self._is(";"):
            self._advance()
            return None
        name = self._name()
        if name == "var":
            self._declare()
            return None
        if self._is("("):
            return self._call(name)
        self._assign(name)
        return None

    def _declare(self) -> None:
        while True:
            name = self._name()
            if "." in name or name in _WORDS:
                raise NotDwr(f"{name} declared")
            self._take("=")
            self._names[name] = self._value(0)
            if not self._is(","):
                break
            self._advance()
        self._take(";")

    def _assign(self, path: str) -> None:
        """``s0.key=value;``, ``s0['key']=value;``, ``s1[0]=value;``"""
        name, *keys = path.split(".")
        target = self._known(name)
        for step in keys[:-1]:
            target = target.get(step) if isinstance(target, dict) else None
        key: Any = keys[-1] if keys else None
        if key is None:
            self._take("[")
            key = self._value(MAX_DEPTH)
            self._take("]")
        self._take("=")
        value = self._value(0)
        self._take(";")
        if isinstance(target, dict) and isinstance(key, str):
            target[key] = value
        elif isinstance(target, list) and type(key) is int and key == len(target):
            target.append(value)
        else:
            raise NotDwr(f"{path} cannot be assigned")

    def _call(self, name: str) -> Reply | None:
        """The reply's result; None for a call that says nothing of it."""
        result = _RESULT.fullmatch(name)
        if result is None and _IGNORED.fullmatch(name) is None:
            raise NotDwr(f"a call of {name}")
        arguments = self._items("(", ")", 0)
        self._take(";")
        if result is None:
            return None
        dialect = 3 if result[1] else 2
        if result[2] == "Callback":
            if len(arguments) not in {2, 3}:
                raise NotDwr(f"a result of {len(arguments)} parts")
            return Reply(dialect, arguments[2] if len(arguments) == 3 else None)
        return Reply(dialect, failure=_failure(arguments))

    def _items(self, start: str, end: str, depth: int) -> list[Any]:
        self._take(start)
        items: list[Any] = []
        while not self._is(end):
            if items:
                self._take(",")
            items.append(self._value(depth))
        self._take(end)
        return items

    def _value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise NotDwr(f"nested more than {MAX_DEPTH} deep")
        kind, token = self._kind, self._token
        if kind == "string":
            self._advance()
            return _unescaped(token[1:-1])
        if kind == "number":
            self._advance()
            return _number(token)
        if kind == "name":
            self._advance()
            return self._date() if token == "new" else self._known(token)
        if self._is("["):
            return self._plain_list() or self._items("[", "]", depth + 1)
        if self._is("{"):
            return self._object(depth + 1)
        self._stop("a value expected")
        return None

    def _plain_list(self) -> list[str]:
        """The common case, a long list of plain texts, at once; empty when it is not that."""
        found = _PLAIN_LIST.match(self._text, self._place)
        if found is None:
            return []
        self._place = found.end()
        self._advance()
        return found[0].strip()[1:-2].split('","')

    def _object(self, depth: int) -> dict[str, Any]:
        self._take("{")
        found: dict[str, Any] = {}
        while not self._is("}"):
            if found:
                self._take(",")
            key = self._token
            if self._kind == "string":
                key = _unescaped(key[1:-1])
            elif self._kind not in {"name", "number"}:
                self._stop("a key expected")
            self._advance()
            self._take(":")
            found[key] = self._value(depth)
        self._take("}")
        return found

    def _date(self) -> datetime:
        """``new Date(milliseconds)``"""
        self._take("Date")
        arguments = self._items("(", ")", MAX_DEPTH)
        try:
            (milliseconds,) = arguments
            return datetime.fromtimestamp(milliseconds / 1000, UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            raise NotDwr(f"no date: {str(arguments)[:40]}") from None

    def _known(self, name: str) -> Any:
        if name in self._names:
            return self._names[name]
        if name in _WORDS:
            return _WORDS[name]
        raise NotDwr(f"{name} is not declared")


def _number(token: str) -> int | float:
    return float(token) if any(mark in token for mark in ".eE") else int(token)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_character, text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(escape: re.Match[str]) -> str:
    code = escape[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return _PLAIN_ESCAPES.get(code, code)


def _failure(arguments: Sequence[Any]) -> str:
    """Class and message of an exception, wherever they stand among the arguments."""
    words = []
    for argument in arguments:
        if isinstance(argument, dict):
            words += [argument.get(key) for key in ("javaClassName", "name", "message")]
    said = [word for word in words if isinstance(word, str) and word]
    texts = [argument for argument in arguments[2:] if isinstance(argument, str)]
    return ": ".join(said or texts)[:LONGEST_FAILURE] or "an exception without a word"
