"""What pages tell of a desk beside its outcome, as it is kept: cleaned, without secrets, long texts once.

A fact is a name and a text: the kind of a captcha, the conditions a préfecture writes, when slots are put
online next. An observation holds each visit's facts, so that what changed can be dated; a text of more than
``LONGEST_SHORT`` characters stands there by its SHA-256 alone, and once in the table ``texts``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

Facts = tuple[tuple[str, str], ...]
"""Name and text of each, as readings and observations hold them."""

LONGEST_SHORT = 200  # characters that are kept in the observation itself
LONGEST_TEXT = 100_000  # characters; some desks write several screens of conditions
MOST_FACTS = 30  # of one observation
DIGEST = "sha256"  # key under which a long text's hash stands in place of it

NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "booking_link": ("lien de réservation", "Path the landing page leads to; `none`: no link."),
        "captcha": ("captcha", "Kind and era of the human check."),
        "changed_on": ("formulaire modifié le", "Day of the form's last change, as the platform says."),
        "closed_since": ("fermé depuis", "Date of closing, as the platform writes it."),
        "conditions": ("conditions", "The administration's own text: who may come, what to bring."),
        "framework": ("logiciel du site", "Versions of the site's libraries, as its addresses tell."),
        "gate": (
            "derrière le captcha",
            "Rule read where the captcha was looked behind: it should still stand.",
        ),
        "last_release": ("dernière mise en ligne", "When slots were put online last; the desk's clock."),
        "last_release_days": ("jours de la dernière mise en ligne", "Which days those slots were for."),
        "message": ("message de l'administration", "What the administration writes in place of the form."),
        "messages": ("messages du site", "What the platform tells its visitors in a frame of its own."),
        "moved_to": ("déplacé vers", "Address that the desk's own leads to."),
        "next_release": ("prochaine mise en ligne", "When slots are put online next; the desk's clock."),
        "next_release_days": ("jours de la prochaine mise en ligne", "Which days those slots are for."),
        "number": ("numéro", "Number of the procedure."),
        "places": ("lieux", "How many places are listed."),
        "public_link": ("lien public", "Whether the platform's list of public links has the desk."),
        "published_on": ("publié le", "Day the procedure was published."),
        "software": ("logiciel de la mairie", "Host of the forms that slots lead to: whose software it is."),
        "state": ("état", "State of the procedure, in the platform's word."),
        "title": ("intitulé", "Name of the procedure, as the platform writes it."),
    }
)
"""Names that families use: French words for people, and what the text is. Others are shown as they are."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")


def kept_facts(facts: Facts, family: str) -> Facts:
    """The facts as they may be kept, by name: no session, token or slot handle, nothing endless.

    Of several with one name the last holds; without a proper name, or empty, one is left out.
    """
    found = {name: _clean(text, family) for name, text in facts if _NAME.fullmatch(name)}
    return tuple(sorted((name, text) for name, text in found.items() if text)[:MOST_FACTS])


def column_of(facts: Facts) -> dict[str, Any] | None:
    """What the column ``facts`` of an observation holds; None where nothing was told."""
    if not facts:
        return None
    return {name: text if len(text) <= LONGEST_SHORT else {DIGEST: digest_of(text)} for name, text in facts}


def texts_of(facts: Facts) -> list[tuple[str, str]]:
    """The long texts by their hashes, for the table ``texts``."""
    return [(digest_of(text), text) for _, text in facts if len(text) > LONGEST_SHORT]


def facts_of(column: Mapping[str, Any] | None, texts: Mapping[str, str]) -> Facts:
    """The facts of a row read back, ``texts`` by hash; a text that is not there is left out."""
    found = []
    for name, value in sorted((column or {}).items()):
        text = texts.get(value[DIGEST]) if isinstance(value, dict) else value
        if text is not None:
            found.append((name, text))
    return tuple(found)


def digests_in(columns: Sequence[Mapping[str, Any] | None]) -> set[str]:
    """The hashes that stand for texts in these columns."""
    return {
        value[DIGEST] for column in columns for value in (column or {}).values() if isinstance(value, dict)
    }


@lru_cache(1024)
def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(1024)
def _clean(text: str, family: str) -> str:
    """Without secrets, and without what PostgreSQL cannot hold. The same texts come at every visit."""
    from guichets.evidence.scrub import FAMILIES, scrub_text  # its package is slow to import

    text = text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")[:LONGEST_TEXT]
    return scrub_text(text, family) if family in FAMILIES else text
