#!/usr/bin/env python3
"""Vérifie un constat de Guichets. / Verifies a constat of Guichets.

    python verify.py [DOSSIER ou FICHIER.zip / FOLDER or FILE.zip]

Un seul fichier, la seule bibliothèque standard (Python 3.8 ou plus récent), aucun accès au réseau.
One file, the standard library alone (Python 3.8 or newer), no access to the network.
Sortie / exit status: 0 tout tient / all holds; 1 quelque chose ne tient pas / something does not;
2 illisible / unreadable.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

COVER = "couverture.pdf"
MANIFEST, MANIFEST_HASH, REPORT = "manifest.json", "manifest.sha256", "constat.pdf"
FORMAT = "guichets-constat-1"
LARGEST = 256 * 1024 * 1024
DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
OUTCOMES = {
    "offered": "des rendez-vous sont proposés",
    "none": "aucun rendez-vous proposé",
    "open": "demandes acceptées, sans indication de créneau",
    "closed": "fermé par l'administration",
    "moved": "démarche déplacée ailleurs",
    "captcha": "contrôle anti-robot avant la réponse",
    "blocked": "visite refusée",
    "overloaded": "service en panne ou surchargé",
    "unreachable": "site injoignable",
    "gone": "page disparue",
    "unrecognised": "page non reconnue",
    "observer_fault": "défaillance de notre côté",
}
ORIGINS = {"baseline": "visite régulière", "watch": "visite supplémentaire", "contributed": "page donnée"}
UTC = timezone.utc


class Unreadable(Exception):
    """What was named is no constat."""


class Findings:
    """What does not hold, what could be checked, what could not."""

    def __init__(self) -> None:
        self.broken: list[tuple[str, str, str]] = []
        self.held: list[tuple[str, str]] = []
        self.unknown: list[tuple[str, str]] = []

    def breaks(self, place: str, french: str, english: str) -> None:
        self.broken.append((place, french, english))

    def holds(self, french: str, english: str) -> None:
        self.held.append((french, english))

    def cannot(self, french: str, english: str) -> None:
        self.unknown.append((french, english))


# --- reading ---------------------------------------------------------------------------------------------


def read_folder(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.stat().st_size <= LARGEST
    }


def read_zip(place: Path, findings: Findings) -> dict[str, bytes]:
    """The files of the ZIP, whose every byte must follow from them: it is written anew and compared."""
    data = place.read_bytes()
    try:
        package = zipfile.ZipFile(io.BytesIO(data))
        names = [entry.filename for entry in package.infolist()]
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError, UnicodeDecodeError, OSError):
        raise Unreadable("le ZIP est abîmé ou n'en est pas un / the ZIP is damaged, or is none") from None
    files: dict[str, bytes] = {}
    for name in names:
        try:
            content = package.read(name)
        except Exception as problem:  # zipfile raises many kinds for a damaged entry
            findings.breaks(
                name,
                f"l'entrée du ZIP est abîmée ({type(problem).__name__})",
                f"the entry of the ZIP is damaged ({type(problem).__name__})",
            )
            continue
        if name in files:
            findings.breaks(name, "le fichier est deux fois dans le ZIP", "the file is in the ZIP twice")
        files[name] = content
    anew = io.BytesIO()
    with zipfile.ZipFile(anew, "w", zipfile.ZIP_STORED) as package:
        for name in names:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            package.writestr(entry, files.get(name, b""))
    if anew.getvalue() != data and not findings.broken:
        findings.breaks(
            place.name,
            "le ZIP n'est pas écrit comme il le fut : un octet hors des fichiers a changé",
            "the ZIP is not written as it was: a byte outside its files has changed",
        )
    return files


def json_lines(files: dict[str, bytes], name: str, findings: Findings) -> list[dict[str, Any]]:
    found = []
    for number, line in enumerate(files.get(name, b"").decode("utf-8", "replace").split("\n"), start=1):
        if not line:
            continue
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError(line)
            found.append(value)
        except ValueError:
            findings.breaks("%s:%d" % (name, number), "ligne illisible", "unreadable line")
    return found


# --- manifest --------------------------------------------------------------------------------------------


def check_manifest(files: dict[str, bytes], findings: Findings) -> dict[str, Any]:
    raw = files.get(MANIFEST)
    if raw is None:
        raise Unreadable("manifest.json manque : ce n'est pas un constat / is missing: this is no constat")
    wanted = f"{sha256(raw)}  {MANIFEST}\n"
    if files.get(MANIFEST_HASH, b"") != wanted.encode():
        findings.breaks(
            MANIFEST_HASH,
            "l'empreinte du manifeste n'est pas la sienne",
            "the hash of the manifest is not its own",
        )
    try:
        manifest = json.loads(raw.decode("utf-8"))
        listed = {str(entry["path"]): entry for entry in manifest["files"]}
        if manifest["format"] != FORMAT:
            raise ValueError(manifest["format"])
    except (ValueError, KeyError, TypeError):
        findings.breaks(MANIFEST, "le manifeste est illisible", "the manifest is unreadable")
        return {}
    for name in sorted(set(files) - set(listed) - {MANIFEST, MANIFEST_HASH, COVER}):
        findings.breaks(name, "ce fichier a été ajouté", "this file was added")
    for name in sorted(set(listed) - set(files)):
        findings.breaks(name, "ce fichier manque", "this file is missing")
    for name in sorted(set(listed) & set(files)):
        if sha256(files[name]) != listed[name].get("sha256") or len(files[name]) != listed[name].get("bytes"):
            findings.breaks(
                name,
                "ce fichier n'est pas celui qui fut remis",
                "this file is not the one that was handed out",
            )
    lines = ["{}  {}\n".format(listed[name].get("sha256"), name) for name in sorted(listed) if name != REPORT]
    data = sha256("".join(lines).encode())
    if data != manifest.get("data"):
        findings.breaks(
            MANIFEST,
            "l'empreinte des données ne suit pas de la liste",
            "the hash of the data does not follow",
        )
    elif ("donnees-sha256:" + data).encode() not in files.get(REPORT, b""):
        findings.breaks(REPORT, "ce PDF a été fait sur d'autres données", "this PDF was made from other data")
    if not findings.broken:
        findings.holds(
            "%d fichiers ont l'empreinte que donne le manifeste" % len(listed),
            "%d files have the hash the manifest gives" % len(listed),
        )
    return manifest if isinstance(manifest, dict) else {}


# --- rows, notes, seals ----------------------------------------------------------------------------------


def check_rows(
    files: dict[str, bytes], manifest: dict[str, Any], findings: Findings
) -> tuple[dict[int, dict[str, str]], dict[int, dict[str, Any]]]:
    """The lines of observations.csv against the rows they were made from; both by number."""
    text = files.get("observations.csv", b"").decode("utf-8-sig", "replace")
    lines: dict[int, dict[str, str]] = {}
    for place, cells in enumerate(csv.DictReader(io.StringIO(text), delimiter=";"), start=1):
        if str(cells.get("numero")) != str(place):
            findings.breaks("observations.csv:%d" % (place + 1), "numéro inattendu", "unexpected number")
        lines[place] = {str(key): str(value) for key, value in cells.items()}
    rows: dict[int, dict[str, Any]] = {}
    withheld = 0
    entries = json_lines(files, "preuves/lignes.jsonl", findings)
    if len(entries) != len(lines):
        findings.breaks(
            "observations.csv", "il n'a pas autant de lignes que les preuves", "not as many lines as proofs"
        )
    for place, entry in enumerate(entries, start=1):
        where = "observations.csv, n° %d" % place
        line = lines.get(place)
        if line is None or entry.get("numero") != place:
            findings.breaks(where, "une ligne manque ou est en trop", "a line is missing or too many")
            continue
        if entry.get("observation") != line.get("observation"):
            findings.breaks(where, "la ligne est une autre observation", "the line is another observation")
        check_clock(line, where, findings)
        if entry.get("ligne") is None:
            withheld += 1
            continue
        try:
            row = json.loads(entry["ligne"])
        except ValueError:
            findings.breaks(where, "la ligne archivée est illisible", "the archived row is unreadable")
            continue
        rows[place] = {"text": entry["ligne"], "row": row}
        compare_row(line, row, where, findings)
        if (row.get("desk_id"), row.get("counter_key")) != (manifest.get("desk"), manifest.get("counter")):
            findings.breaks(
                where,
                "la ligne est d'un autre guichet ou sous-choix",
                "the row is of another desk or sub-choice",
            )
    if withheld:
        findings.cannot(
            "%d lignes ne sont pas jointes en entier (page donnée, créneaux à venir, jeton de session) : "
            "leur note scellée reste vérifiée, si elle est jointe" % withheld,
            "%d rows are not given in full (given page, coming slots, session token): their sealed note is "
            "still checked, where there is one" % withheld,
        )
    return lines, rows


def check_clock(line: dict[str, str], where: str, findings: Findings) -> None:
    """Date, hour, weekday, week and words of a line all follow from its instant and outcome."""
    try:
        instant = datetime.fromisoformat(line.get("instant_utc", ""))
        local = in_paris(instant)
    except ValueError:
        findings.breaks(where, "instant illisible", "unreadable instant")
        return
    year, week, _ = local.isocalendar()
    wanted = {
        "date_heure_paris": local.isoformat(),
        "jour": DAYS[local.weekday()],
        "semaine_iso": "%d-W%02d" % (year, week),
        "resultat_en_mots": OUTCOMES.get(line.get("resultat", ""), "?"),
    }
    for name in sorted(wanted):
        if line.get(name) != wanted[name]:
            findings.breaks(where, f"{name} ne suit pas de la ligne", f"{name} does not follow")


def compare_row(line: dict[str, str], row: dict[str, Any], where: str, findings: Findings) -> None:
    pairs = [
        ("observation", row.get("id")),
        ("resultat", row.get("outcome")),
        ("regle", row.get("rule")),
        ("lecteur", row.get("parser")),
        ("origine", ORIGINS.get(str(row.get("purpose")))),
        ("http", "" if row.get("http_status") is None else str(row.get("http_status"))),
        ("remplace", row.get("supersedes") or ""),
    ]
    for name, value in pairs:
        if line.get(name) != value:
            findings.breaks(where, f"{name} diffère de la ligne archivée", f"{name} differs")
    try:
        same = datetime.fromisoformat(line["instant_utc"]) == datetime.fromisoformat(row["observed_at"])
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        findings.breaks(where, "l'instant diffère de la ligne archivée", "the instant differs")


def check_notes(
    files: dict[str, bytes],
    lines: dict[int, dict[str, str]],
    rows: dict[int, dict[str, Any]],
    seals: dict[str, dict[str, Any]],
    findings: Findings,
) -> None:
    notes = files.get("preuves/notes.warc.gz", b"")
    seen = set()
    sealed = 0
    for entry in json_lines(files, "preuves/inclusions.jsonl", findings):
        try:
            number = int(entry["numero"])
            member = notes[entry["position"] : entry["position"] + entry["longueur"]]
            where = "preuves, n° %d" % number
            if sha256(member) != entry["sha256"]:
                findings.breaks(
                    where, "la note n'est pas celle de l'archive", "the note is not the archived one"
                )
                continue
            seen.add(number)
            check_note(member, lines.get(number, {}), rows.get(number), where, findings)
            if entry.get("jour") is None:
                continue
            leaf = "%s\n%d\n%d\n%s" % (entry["fichier"], entry["octet"], entry["longueur"], entry["sha256"])
            path = [bytes.fromhex(step) for step in entry["chemin"]]
            root = root_from_proof(
                hashlib.sha256(b"\x00" + leaf.encode()).digest(),
                entry["rang"],
                entry["enregistrements"],
                path,
            )
            seal = seals.get(entry["jour"])
            folder = entry["jour"].replace("-", "/")
            if (
                seal is None
                or root is None
                or root.hex() != seal["root"]
                or entry["enregistrements"] != seal["records"]
                or not entry["fichier"].startswith(f"archive/{folder}/")
            ):
                findings.breaks(
                    where,
                    "la note n'est pas sous le sceau du {}".format(entry["jour"]),
                    "the note is not under the seal of {}".format(entry["jour"]),
                )
                continue
            sealed += 1
        except (KeyError, TypeError, ValueError, IndexError):
            findings.breaks("preuves/inclusions.jsonl", "une preuve est illisible", "a proof is unreadable")
    for number, line in sorted(lines.items()):
        has_note = line.get("preuve") in ("scellée", "archivée, jour non scellé")
        if has_note and number not in seen:
            findings.breaks("observations.csv, n° %d" % number, "sa note manque", "its note is missing")
    if sealed:
        findings.holds(
            "%d observations sont sous la racine de leur jour (arbre de Merkle)" % sealed,
            "%d observations are under the root of their day (Merkle tree)" % sealed,
        )
    without = len(lines) - sealed
    if without:
        findings.cannot(
            "%d observations n'ont pas de preuve scellée ; le constat le dit ligne à ligne" % without,
            "%d observations have no sealed proof; the constat says so line by line" % without,
        )


def check_note(
    member: bytes, line: dict[str, str], row: dict[str, Any] | None, where: str, findings: Findings
) -> None:
    """The archived note says the same as the line, and bears the hash of the row."""
    records = list(warc_records(member))
    if len(records) != 1:
        findings.breaks(where, "la note est illisible", "the note is unreadable")
        return
    fields, block = records[0]
    parts = block.decode("utf-8", "replace").split(" ", 4)
    same = (
        fields.get("warc-type") == "metadata"
        and fields.get("warc-record-id", "").strip("<>") == "urn:uuid:{}".format(line.get("observation"))
        and len(parts) >= 4
        and parts[2] == line.get("resultat")
        and parts[3] == line.get("regle")
    )
    if not same and line.get("preuve") != "rompue":
        findings.breaks(
            where, "la note dit autre chose que la ligne", "the note says otherwise than the line"
        )
    if row is not None and line.get("preuve") != "rompue" and sha256(row["text"].encode()) != parts[0]:
        findings.breaks(where, "la ligne n'est pas celle de la note", "the row is not the one of the note")


def check_seals(files: dict[str, bytes], findings: Findings) -> dict[str, dict[str, Any]]:
    """The chain of daily roots from the first day on."""
    seals: dict[str, dict[str, Any]] = {}
    previous = "0" * 64
    for number, line in enumerate(files.get("preuves/seals.txt", b"").decode("latin-1").split("\n"), start=1):
        if not line or line.startswith("#"):
            continue
        found = re.match(r"^(\d{4}-\d{2}-\d{2}) (0|[1-9]\d{0,11}) ([0-9a-f]{64}) ([0-9a-f]{64})$", line)
        where = "preuves/seals.txt:%d" % number
        if found is None:
            findings.breaks(where, "ce n'est pas un sceau", "this is no seal")
            continue
        day, records, root, seal = found.group(1), int(found.group(2)), found.group(3), found.group(4)
        data = (
            b"\x02"
            + bytes.fromhex(previous)
            + day.encode()
            + records.to_bytes(8, "big")
            + bytes.fromhex(root)
        )
        if sha256(data) != seal:
            findings.breaks(where, "ce sceau ne suit pas du précédent", "this seal does not follow")
        previous = seal
        seals[day] = {"records": records, "root": root, "line": line}
    if seals and not any(place.startswith("preuves/seals") for place, _, _ in findings.broken):
        findings.holds(
            "la chaîne des %d sceaux de jours se suit, du %s au %s" % (len(seals), min(seals), max(seals)),
            "the chain of %d seals of days holds, from %s to %s" % (len(seals), min(seals), max(seals)),
        )
        findings.cannot(
            "que ces sceaux sont bien ceux qui furent publiés : en comparer un avec une copie publiée ; "
            f"le dernier : {previous}",
            "that these seals are those that were published: compare the last one with a published copy",
        )
    return seals


def check_stamps(files: dict[str, bytes], seals: dict[str, dict[str, Any]], findings: Findings) -> None:
    """Each RFC 3161 token bears the hash of its day's line. Its signature needs a tool of its own."""
    stamps = sorted(name for name in files if name.startswith("preuves/horodatages/"))
    told = []
    for name in stamps:
        day = name.rpartition("/")[2].replace(".tsr", "")
        imprint, instant = token_facts(files[name])
        if day not in seals or imprint != hashlib.sha256(seals[day]["line"].encode()).digest():
            findings.breaks(
                name, "ce jeton date autre chose que le sceau", "this token stamps something else"
            )
        else:
            told.append(f"{day} ({instant})")
    if told:
        findings.holds(
            "%d jetons RFC 3161 portent l'empreinte du sceau de leur jour ; le dernier : %s"
            % (len(told), told[-1]),
            "%d RFC 3161 tokens bear the hash of their day's seal; the last one: %s" % (len(told), told[-1]),
        )
        findings.cannot(
            "la signature des jetons : openssl ts -verify -in JOUR.tsr -data FICHIER -CAfile CERTIFICATS, où "
            "FICHIER contient la ligne de seals.txt sans fin de ligne",
            "the signature of the tokens: openssl ts -verify, on the line of seals.txt without its line end",
        )
    elif seals:
        findings.cannot("aucun jour n'a d'horodatage d'un tiers", "no day bears a third party's time-stamp")


def token_facts(data: bytes) -> tuple[bytes | None, str]:
    """Hash and instant of a time-stamp answer; (None, "") for what is none."""
    marker = bytes.fromhex("060b2a864886f70d0109100104")  # id-ct-TSTInfo
    place = data.find(marker)
    if place < 0:
        return None, ""
    try:
        _, explicit, _ = der(data, place + len(marker))
        _, octets, _ = der(explicit, 0)
        _, info, _ = der(octets, 0)
        _, _, after = der(info, 0)  # version
        _, _, after = der(info, after)  # policy
        _, imprint, after = der(info, after)
        _, _, after = der(info, after)  # serial number
        _, instant, _ = der(info, after)
        _, _, hash_at = der(imprint, 0)
        _, hashed, _ = der(imprint, hash_at)
        return hashed, instant.decode("ascii", "replace")
    except IndexError:
        return None, ""


def der(data: bytes, place: int) -> tuple[int, bytes, int]:
    """Tag, content and end of one DER element."""
    tag, length, start = data[place], data[place + 1], place + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + length > len(data):
        raise IndexError(place)
    return tag, data[start : start + length], start + length


# --- pages -----------------------------------------------------------------------------------------------


def check_pages(files: dict[str, bytes], rows: dict[int, dict[str, Any]], findings: Findings) -> None:
    """The records of archive.wacz, and the pages the rows rest on."""
    raw = files.get("archive.wacz")
    if raw is None:
        return
    try:
        package = zipfile.ZipFile(io.BytesIO(raw))
        inside = {name: package.read(name) for name in package.namelist()}
        described = json.loads(inside["datapackage.json"].decode("utf-8"))
        digest = json.loads(inside["datapackage-digest.json"].decode("utf-8"))
        resources = [(str(one["path"]), str(one["hash"])) for one in described["resources"]]
    except Exception:  # zipfile raises many kinds for a damaged file
        findings.breaks("archive.wacz", "l'archive est abîmée", "the archive is damaged")
        return
    if digest.get("hash") != "sha256:{}".format(sha256(inside["datapackage.json"])):
        findings.breaks("archive.wacz", "datapackage.json a changé", "datapackage.json has changed")
    for name, wanted in resources:
        if wanted != "sha256:{}".format(sha256(inside.get(name, b""))):
            findings.breaks(f"archive.wacz/{name}", "ce fichier a changé", "this file has changed")
    given: dict[str, dict[str, str]] = {}
    bodies = set()
    for fields, block in warc_records(inside.get("archive/constat.warc.gz", b"")):
        kind = fields.get("warc-type")
        if kind not in ("response", "resource", "revisit"):
            continue
        where = "archive.wacz, {}".format(fields.get("guichets-original", "?"))
        payload = fields.get("warc-payload-digest", "").replace("sha256:", "")
        if kind != "revisit":  # what a browser made of a page has no head
            body = block if kind == "resource" else block.partition(b"\r\n\r\n")[2]
            if sha256(body) != payload:
                findings.breaks(where, "la page n'a pas son empreinte", "the page has not its hash")
            bodies.add((fields.get("warc-target-uri"), payload))
        elif (fields.get("warc-target-uri"), payload) not in bodies:
            findings.breaks(where, "la page répétée manque", "the repeated page is missing")
        if fields.get("guichets-copy") == "exact" and payload != fields.get("guichets-original-body"):
            findings.breaks(where, "la copie n'est pas exacte", "the copy is not exact")
        given[fields.get("guichets-original", "")] = fields
    exact = blanked = absent = 0
    for number, found in sorted(rows.items()):
        for part in found["row"].get("evidence") or []:
            fields_of_page = given.get(str(part.get("record_id")))
            where = "observations.csv, n° %d" % number
            if fields_of_page is None:
                absent += 1
            elif fields_of_page.get("guichets-original-body") != part.get("sha256"):
                findings.breaks(where, "sa page est une autre", "its page is another one")
            elif fields_of_page.get("guichets-copy") == "exact":
                exact += 1
            else:
                blanked += 1
    if exact:
        findings.holds(
            "%d pages jointes sont, à l'octet près, celles que nomment les lignes" % exact,
            "%d pages are, byte for byte, those that the rows name" % exact,
        )
    if blanked:
        findings.cannot(
            "%d pages jointes ont un jeton effacé : seule l'empreinte de l'original est prouvée" % blanked,
            "%d pages have a token blanked: only the hash of the original is proved" % blanked,
        )
    if absent:
        findings.cannot("%d pages ne sont pas jointes" % absent, "%d pages are not given" % absent)


def warc_records(data: bytes) -> Iterator[tuple[dict[str, str], bytes]]:
    """Fields (names in small letters) and block of each record; stops where the file is no longer sound."""
    while data:
        engine = zlib.decompressobj(zlib.MAX_WBITS + 16)
        try:
            record = engine.decompress(data, LARGEST)
        except zlib.error:
            return
        if not engine.eof:
            return
        data = engine.unused_data
        head, _, rest = record.partition(b"\r\n\r\n")
        fields = {}
        for line in head.decode("utf-8", "replace").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            fields[name.strip().lower()] = value.strip()
        length = fields.get("content-length", "0")
        yield fields, rest[: int(length) if length.isdigit() else 0]


# --- small things ----------------------------------------------------------------------------------------


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def root_from_proof(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root a proof of RFC 6962 leads to; None when it has not the shape of such a tree."""
    if not 0 <= index < size:
        return None
    position, last, value = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if position % 2 == 1 or position == last:
            value = hashlib.sha256(b"\x01" + sibling + value).digest()
            while position % 2 == 0 and position != 0:
                position >>= 1
                last >>= 1
        else:
            value = hashlib.sha256(b"\x01" + value + sibling).digest()
        position >>= 1
        last >>= 1
    return value if last == 0 else None


def in_paris(instant: datetime) -> datetime:
    """The clock of Paris: one hour ahead of UTC, two from the last Sunday of March to that of October."""
    moment = instant.astimezone(UTC)
    begins = datetime.combine(last_sunday(moment.year, 3), datetime.min.time(), UTC) + timedelta(hours=1)
    ends = datetime.combine(last_sunday(moment.year, 10), datetime.min.time(), UTC) + timedelta(hours=1)
    return moment.astimezone(timezone(timedelta(hours=2 if begins <= moment < ends else 1)))


def last_sunday(year: int, month: int) -> date:
    last = date(year, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)


def report(findings: Findings, manifest: dict[str, Any], raw: bytes) -> int:
    desk = "{}".format(manifest.get("desk"))
    if manifest.get("counter") is not None:
        desk += ", sous-choix {}".format(manifest["counter"])
    say("Constat : {}, du {} au {}".format(desk, manifest.get("from"), manifest.get("to")))
    say(f"manifest.json SHA-256 {sha256(raw)}")
    for title, pairs in (
        ("CE QUI TIENT / WHAT HOLDS", findings.held),
        ("CE QUI N'EST PAS VÉRIFIÉ ICI / WHAT IS NOT CHECKED HERE", findings.unknown),
    ):
        if pairs:
            say(f"\n{title}")
        for french, english in pairs:
            say(f"  - {french}\n    {english}")
    if not findings.broken:
        say("\nTOUT CE QUI PEUT ÊTRE VÉRIFIÉ ICI TIENT. / ALL THAT CAN BE CHECKED HERE HOLDS.")
        return 0
    say("\nCE QUI NE TIENT PAS / WHAT DOES NOT HOLD")
    for place, french, english in findings.broken[:50]:
        say(f"  ! {place} : {french}\n    {english}")
    if len(findings.broken) > 50:
        say("  … et %d autres / and %d more" % (len(findings.broken) - 50, len(findings.broken) - 50))
    return 1


def say(text: str) -> None:
    data = (text + "\n").encode(sys.stdout.encoding or "utf-8", "replace")
    sys.stdout.buffer.write(data)


def main(arguments: list[str]) -> int:
    place = Path(arguments[0]) if arguments else Path(__file__).resolve().parent
    findings = Findings()
    try:
        files = read_folder(place) if place.is_dir() else read_zip(place, findings)
        manifest = check_manifest(files, findings)
    except (Unreadable, OSError) as problem:
        say(f"{place} : {problem}")
        return 2
    if manifest:
        lines, rows = check_rows(files, manifest, findings)
        check_notes(files, lines, rows, check_seals(files, findings), findings)
        check_stamps(files, check_seals(files, Findings()), findings)
        check_pages(files, rows, findings)
        findings.cannot(
            "la couverture (couverture.pdf), qui porte la référence du dossier, hors des empreintes",
            "the cover (couverture.pdf), which bears the reference of the case, outside the hashes",
        )
    return report(findings, manifest, files[MANIFEST])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
