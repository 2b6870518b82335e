"""The document of the small application that plays Orion's; its script and style are in ``orion_app``."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

BASE = "/orion-reservation"
API = "/orion/api/1"
SCRIPT = f"{BASE}/main.3f9c2d1a.js"
STYLE = f"{BASE}/styles.7be0a4c9.css"


@cache
def part(name: str) -> bytes:
    """A file of the application."""
    return files("guichets.sandbox.families").joinpath("orion_app", name).read_bytes()


def document(play: Mapping[str, object], *, elsewhere: str) -> str:
    """Empty without its script, as such applications are. ``elsewhere``: an address of another host."""
    shown = html.escape(json.dumps(dict(play)), quote=True)
    return f"""<!DOCTYPE html>
<html lang="fr"><head><meta charset="utf-8"><title>Prise de rendez-vous</title><base href="{BASE}/">
<link rel="stylesheet" href="{STYLE}"><link rel="icon" href="favicon.ico">
<link rel="preconnect" href="{elsewhere}"></head>
<body data-play="{shown}" data-elsewhere="{elsewhere}">
<app-root></app-root>
<img src="logo.png" alt=""><img src="{elsewhere}/pixel.gif" alt="">
<script src="{elsewhere}/analytics.js"></script>
<script src="{SCRIPT}"></script></body></html>
"""
