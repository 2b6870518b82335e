"""The platform families a desk may belong to, with the params each accepts.

The list is kept here because the core may not import spiders; a test of the spiders compares names.
A spider works from the entry URL alone wherever the URL says all: params only add what it cannot say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Param:
    """One thing a family may be told beside the URL."""

    kinds: tuple[type, ...]  # accepted TOML types; bool never passes for int
    sentence: str
    choices: tuple[Any, ...] = ()  # the only values, where there are few
    is_url: bool = False
    default: Any = None  # what its absence means
    is_asked: bool = (
        False  # the address that is asked in place of the entry URL's: its host is paced and leased
    )


def _family(**params: Param) -> Mapping[str, Param]:
    return MappingProxyType(params)


FAMILIES: Mapping[str, Mapping[str, Param]] = MappingProxyType(
    {
        "ezbooking": _family(),
        "rdv_prefecture": _family(),
        "eappointment": _family(
            dwr=Param((int,), "DWR dialect of the server; absent, the spider finds out.", (2, 3)),
            site=Param((str,), "Code of the site where several share one application."),
            service=Param((str,), "Code of the service (the reason for coming)."),
        ),
        "rdv_service_public": _family(
            service_id=Param((int, str), "Number of the service."),
            motif_name_with_location_type=Param((str,), "Slug of the motive and of its kind of place."),
        ),
        "demarche_numerique": _family(),
        "troov": _family(
            api=Param(
                (str,),
                "Base URL of the API; absent, the public one.",
                is_url=True,
                default="https://api.consulat.gouv.fr/api",
                is_asked=True,
            ),
            slug=Param((str,), "Slug of the consulate."),
            service=Param((str,), "Name of the service, where the URL does not tell it."),
        ),
        "lutece": _family(),
        "orion": _family(),
        "ants": _family(
            meeting_point=Param((str,), "Number of the mairie at the API, where a town has several."),
            editor=Param((str,), "Slug of the town's software in the API's list; absent, all of them count."),
        ),
    }
)
"""Family name (= spider, module, folder of test pages) -> its params by name."""


def param_of(family: str, params: Mapping[str, Any], name: str) -> Any:
    """A param as given, else what its absence means."""
    return params.get(name, FAMILIES[family][name].default)


def asked_url(family: str, url: str, params: Mapping[str, Any]) -> str:
    """The address at which a desk is asked: its entry URL, or the API behind it."""
    for name, param in FAMILIES.get(family, {}).items():
        if param.is_asked:
            return str(param_of(family, params, name))
    return url
