"""What stands between a document and PDF/A-3a with PDF/UA-1.

Two opinions, neither of the program that wrote it: the validator of the package ``pdf_oxide``, and
what that one does not look at, by clause of ISO 19005-3 (« A ») and ISO 14289-1 (« UA »). Left to
veraPDF: the widths and glyphs inside font programs, the syntax of the file, the schemas of XMP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pdf_oxide import PdfDocument
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DictionaryObject, IndirectObject, NameObject, StreamObject, TextStringObject

HEADING = re.compile("/H[1-6]")
PAINTED = {b"Tj", b"TJ", b"'", b'"', b"S", b"s", b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*", b"Do", b"sh"}
FILES = {"/FontFile", "/FontFile2", "/FontFile3"}
LEAVING = {"/JavaScript", "/Launch", "/GoToR", "/SubmitForm", "/ImportData", "/Movie", "/Sound", "/Rendition"}


def faults(path: Path) -> list[str]:
    """Every fault found, with its clause or the validator's code; none: it conforms as far as seen."""
    document = PdfDocument(str(path))
    told = document.validate_pdf_a("3a")["errors"] + document.validate_pdf_ua()["errors"]
    reader = PdfReader(path)
    if reader.is_encrypted:
        return [*told, "A 6.1.3: encrypted"]
    things = objects(reader)
    return [
        *told,
        *_catalogue(reader),
        *(fault for thing in things for rule in RULES for fault in rule(thing)),
        *(fault for page in reader.pages for fault in _page(page)),
        *_headings(things),
    ]


def objects(reader: PdfReader) -> list[DictionaryObject]:
    """Every dictionary of the file, streams too."""
    found = []
    for number in range(1, len(reader.xref[0]) + sum(len(one) for one in reader.xref_objStm.items()) + 1):
        found.append(IndirectObject(number, 0, reader).get_object())
    return [one for one in found if isinstance(one, DictionaryObject)]


def _catalogue(reader: PdfReader) -> Iterator[str]:
    root: Any = reader.root_object
    if "/ID" not in reader.trailer:
        yield "A 6.1.3: no identifier"
    intents = [intent.get_object() for intent in root.get("/OutputIntents", ())]
    if not any(intent.get("/S") == "/GTS_PDFA1" and "/DestOutputProfile" in intent for intent in intents):
        yield "A 6.2.3: no output intent"
    if {"/AA", "/OpenAction"} & set(root):
        yield "A 6.5.2: the document acts by itself"
    if "/AcroForm" in root:
        yield "A 6.4: a form"
    meta = root["/Metadata"].get_object().get_data().decode() if "/Metadata" in root else ""
    for words in (
        "<pdfaid:part>3</pdfaid:part>",
        "<pdfaid:conformance>A</pdfaid:conformance>",
        "<pdfuaid:part>1</pdfuaid:part>",
        "<dc:title>",
    ):
        if words not in meta:
            yield f"A 6.6.4: the metadata lack {words}"
    if root.get("/Lang") != "fr-FR":
        yield "UA 7.2: not said to be in French"


def _stream(thing: DictionaryObject) -> Iterator[str]:
    if isinstance(thing, StreamObject):
        if "/LZWDecode" in str(thing.get("/Filter")):
            yield "A 6.1.7: compressed by LZW"
        if {"/F", "/FFilter"} & set(thing):
            yield "A 6.1.7: a stream outside the file"


def _picture(thing: DictionaryObject) -> Iterator[str]:
    if thing.get("/Subtype") == "/Image":
        if thing.get("/Interpolate"):
            yield "A 6.2.8: a picture is smoothed"
        if thing.get("/ColorSpace") == "/DeviceCMYK":
            yield "A 6.2.4: a picture in colours of which the output intent says nothing"


def _font(thing: DictionaryObject) -> Iterator[str]:
    if thing.get("/Type") == "/FontDescriptor" and not FILES & set(thing):
        yield f"A 6.2.11.4: {thing.get('/FontName')} is not embedded"
    if thing.get("/Type") == "/Font" and thing.get("/Subtype") == "/Type0" and "/ToUnicode" not in thing:
        yield f"A 6.2.11.7: letters of {thing.get('/BaseFont')} are not told"


def _annotation(thing: DictionaryObject) -> Iterator[str]:
    if thing.get("/Type") == "/Annot":
        if thing.get("/Subtype") != "/Link":
            yield f"A 6.3.1: an annotation {thing.get('/Subtype')}"
        if int(thing.get("/F", 0)) != 4:
            yield "A 6.3.2: an annotation is not printed"
        if not thing.get("/Contents"):
            yield "UA 7.18.5: a link without words"


def _action(thing: DictionaryObject) -> Iterator[str]:
    for one in (thing, thing.get("/A"), thing.get("/OpenAction")):
        if isinstance(one, DictionaryObject) and str(one.get("/S")) in LEAVING:
            yield f"A 6.5.1: an action {one['/S']}"


def _figure(thing: DictionaryObject) -> Iterator[str]:
    if thing.get("/S") == "/Figure" and not thing.get("/Alt"):
        yield "UA 7.3: a picture without words"


RULES: tuple[Callable[[DictionaryObject], Iterator[str]], ...] = (
    _stream, _picture, _font, _annotation, _action, _figure,
)  # fmt: skip


def _page(page: Any) -> Iterator[str]:
    if page.get("/Tabs") != "/S":
        yield "UA 7.18.3: not read in the order of its structure"
    depth = 0
    for operands, operator in page.get_contents().operations:
        if operator in (b"BMC", b"BDC"):
            depth += 1
            if operands[0] != "/Artifact" and "/MCID" not in operands[1]:
                yield f"UA 7.1: {operands[0]} belongs to no structure"
        elif operator == b"EMC":
            depth -= 1
        elif operator in (b"k", b"K"):
            yield "A 6.2.4: a colour of which the output intent says nothing"
        elif operator in PAINTED and not depth:
            yield "UA 7.1: something is painted that is neither content nor artifact"


def _headings(things: list[DictionaryObject]) -> Iterator[str]:
    levels = sorted({str(one["/S"]) for one in things if HEADING.fullmatch(str(one.get("/S")))})
    if levels != [f"/H{level + 1}" for level in range(len(levels))]:
        yield f"UA 7.4.2: levels of headings {levels}"


def _no_metadata(writer: PdfWriter) -> None:
    del writer.root_object["/Metadata"]


def _another_part(writer: PdfWriter) -> None:
    stream: Any = writer.root_object["/Metadata"].get_object()
    stream.set_data(stream.get_data().replace(b"<pdfaid:part>3", b"<pdfaid:part>2"))


def _no_intent(writer: PdfWriter) -> None:
    del writer.root_object["/OutputIntents"]


def _no_font(writer: PdfWriter) -> None:
    _remove(writer, "/FontDescriptor", *FILES)


def _no_letters(writer: PdfWriter) -> None:
    _remove(writer, "/Font", "/ToUnicode")


def _script(writer: PdfWriter) -> None:
    action = {NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("app.beep()")}
    writer.root_object[NameObject("/OpenAction")] = DictionaryObject(action)


def _untagged(writer: PdfWriter) -> None:
    del writer.root_object["/StructTreeRoot"]


def _no_language(writer: PdfWriter) -> None:
    del writer.root_object["/Lang"]


def _no_title_shown(writer: PdfWriter) -> None:
    del writer.root_object["/ViewerPreferences"]


def _film(writer: PdfWriter) -> None:
    _add(writer, Type="/Annot", Subtype="/Movie")


def _mute_picture(writer: PdfWriter) -> None:
    _add(writer, Type="/StructElem", S="/Figure")


def _skipped_heading(writer: PdfWriter) -> None:
    _add(writer, Type="/StructElem", S="/H6")


def _ink(writer: PdfWriter) -> None:
    _paint(writer, b"0 0 0 1 k")


def _stray_line(writer: PdfWriter) -> None:
    _paint(writer, b"0 0 m 9 9 l S")


def _encrypted(writer: PdfWriter) -> None:
    writer.encrypt("x", algorithm="AES-256")


def _remove(writer: PdfWriter, kind: str, *names: str) -> None:
    for page in writer.pages:
        fonts: Any = page["/Resources"]["/Font"]  # type: ignore[index]
        for font in fonts.values():
            parts = [font.get_object(), font.get_object()["/DescendantFonts"][0].get_object()]
            for part in [*parts, parts[1]["/FontDescriptor"].get_object()]:
                for name in names:
                    if part.get("/Type") == kind:
                        part.pop(name, None)


def _add(writer: PdfWriter, **entries: str) -> None:
    thing = DictionaryObject({NameObject(f"/{name}"): NameObject(value) for name, value in entries.items()})
    writer.root_object[NameObject("/Planted")] = writer._add_object(thing)


def _paint(writer: PdfWriter, operations: bytes) -> None:
    page = writer.pages[0]
    content: Any = page["/Contents"].get_object()
    content.set_data(content.get_data() + b"\nq " + operations + b" Q\n")


PLANTS: dict[Callable[[PdfWriter], None], str] = {
    _no_metadata: "XMP-001",
    _another_part: "A 6.6.4",
    _no_intent: "A 6.2.3",
    _no_font: "A 6.2.11.4",
    _no_letters: "A 6.2.11.7",
    _script: "A 6.5",
    _untagged: "STRUCT-001",
    _no_language: "STRUCT-003",
    _no_title_shown: "UA-DOC-004",
    _film: "A 6.3.1",
    _mute_picture: "UA 7.3",
    _skipped_heading: "UA 7.4.2",
    _ink: "A 6.2.4",
    _stray_line: "UA 7.1",
    _encrypted: "encrypted",
}
