"""Every page: valid, closed in itself, nothing unescaped, nothing exact or fresh."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urlsplit
from xml.etree import ElementTree

import pytest
from tinyhtml5.parser import HTMLParser as StrictParser

from guichets.errors import ArgumentError
from guichets.site import Site, build_site, read_replies
from guichets.site.build import MARK
from guichets.site.texts import english
from guichets.statistics import Quarter, Reports, Rules
from tests.database.seeds import add_desk, observe
from tests.database_fixtures import Database
from tests.site.conftest import HOSTILE, Q2, SCRIPT, World, read_public

SITE = Path(__file__).resolve().parents[2] / "guichets" / "site"
ATOM = "{http://www.w3.org/2005/Atom}"


class Reader(HTMLParser):
    """What a page asks for, and its ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.tags: Counter[str] = Counter()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        given = dict(attrs)
        assert not [name for name in given if name.startswith("on")], f"{tag} {attrs}"
        if given.get("id"):
            self.ids[str(given["id"])] += 1
        if tag == "a":
            self.links.append(given.get("href") or "")
        elif tag == "link":
            self.links.append(given.get("href") or "")
            if given.get("rel") == "stylesheet":
                self.fetched.append(given.get("href") or "")
        self.fetched += [given[name] or "" for name in ("src", "srcset", "poster", "data") if name in given]


@pytest.fixture(scope="module")
def readers(world: World) -> dict[Path, Reader]:
    return {path: Reader(path.read_text(encoding="utf-8")) for path in world.pages()}


def test_pages_have_no_error_of_html(world: World) -> None:
    """One page of each template, in full; they are alike but for their figures."""
    for path in ("index.html", "departements/92.html", "departements/01.html", "trimestres/2017-Q2.html"):
        _parse(world.folder / path)
    for path in (
        "tableau/delay.html",
        "methode.html",
        "ethique.html",
        "donnees.html",
        "errata.html",
        "en/index.html",
    ):
        _parse(world.folder / path)
    _parse(world.folder / "reponses.html")


def _parse(path: Path) -> None:
    parser = StrictParser()
    parser.parse(path.read_text(encoding="utf-8"))
    assert parser.errors == [], path


def test_every_link_leads_somewhere_and_nothing_is_fetched_elsewhere(
    world: World, readers: dict[Path, Reader]
) -> None:
    assert len(readers) > 200
    for path, page in readers.items():
        assert page.tags["script"] == page.tags["img"] == page.tags["iframe"] == 0
        assert page.tags["h1"] == 1, path
        assert all(times == 1 for times in page.ids.values()), path
        for link in page.links:
            target, fragment = urldefrag(link)
            if urlsplit(link).scheme:
                assert link.startswith("https://"), f"{path}: {link}"
                continue
            found = (path.parent / target).resolve() if target else path
            assert found.is_file(), f"{path}: {link}"
            if fragment:
                assert fragment in (readers[found].ids if found in readers else page.ids), f"{path}: {link}"
        assert [urlsplit(fetched).scheme for fetched in page.fetched] == [""]
    style = world.page("style.css")
    assert "@import" not in style
    assert set(re.findall(r"url\(([^)]*)\)", style)) == {"#hatch"}


def test_the_first_page_is_light(world: World) -> None:
    assert sum(len((world.folder / name).read_bytes()) for name in ("index.html", "style.css")) < 200_000


def test_hostile_words_are_only_words(world: World) -> None:
    for path in world.folder.rglob("*"):
        if path.suffix in {".html", ".xml"}:
            text = path.read_text(encoding="utf-8")
            assert SCRIPT not in text
            assert "<script" not in text.lower()
            assert "49 " not in re.findall(r"&lt;b&gt; (.{3})", text)
    page = world.page("departements/92.html")
    assert "&lt;script&gt;alert(1)" in page
    assert HOSTILE not in page
    assert "<bdi>" in page
    assert len(page) < 60_000  # 5 000 characters of label are cut
    assert "Nous contestons &lt;script&gt;" in page
    assert "12" in world.page("errata.html")


def test_a_departement_without_desk_says_so(world: World) -> None:
    assert "Aucun guichet de ce département n&#39;est au catalogue" in world.page(
        "departements/01.html"
    ) + world.page("departements/02.html")


def test_insufficient_is_missing_and_never_zero(world: World) -> None:
    (code,) = world.places_of("hardly-seen")
    page = world.page(f"departements/{code}.html")
    assert '<span class="insufficient">insuffisant</span>' in page
    assert "les observations ne suffisent pas" in page
    group = world.reports.of(Q2).places[code]
    assert group.figures.availability is None
    assert f'departements/{code}.html" aria-label="' in world.page("index.html")
    assert re.search(
        rf'departements/{code}\.html"[^>]*observations insuffisantes"><path class="missing"',
        world.page("index.html"),
    )


def test_every_figure_stands_beside_its_period_coverage_and_rows(world: World) -> None:
    (code,) = world.places_of("late")
    page = world.page(f"departements/{code}.html")
    cards = re.findall(r"<div><dt>(.*?)</dd></div>", page, re.DOTALL)
    assert len(cards) == 4
    for card in cards:
        assert "couverture" in card
        assert "30\N{NO-BREAK SPACE}juin 2017" in card
        assert f"donnees/departements/{code}.csv" in card
    assert "tardif" in page


def test_errata_are_shown_with_the_figures_that_moved(world: World) -> None:
    page = world.page("errata.html")
    assert "1\N{NO-BREAK SPACE}mai" not in page
    assert "2\N{NO-BREAK SPACE}mai 2017" in page
    assert "1 / 18" in page
    assert "0 / 18" in page


def test_feeds_tell_changes_by_the_day(world: World) -> None:
    (code, other) = world.places_of("never")
    for place in (code, other):
        feed = ElementTree.fromstring(world.page(f"atom/{place}.xml"))
        titles = [entry.findtext(f"{ATOM}title") for entry in feed.iter(f"{ATOM}entry")]
        assert titles == ["Plus aucun rendez-vous depuis 30 jours"]
        ids = [entry.findtext(f"{ATOM}id") for entry in feed.iter(f"{ATOM}entry")]
        assert len(set(ids)) == len(ids)
        for updated in feed.iter(f"{ATOM}updated"):
            assert (updated.text or "").endswith("T00:00:00Z")
    (better,) = world.places_of("better")
    feed = ElementTree.fromstring(world.page(f"atom/{better}.xml"))
    assert feed.findtext(f"{ATOM}title")


def test_building_again_writes_nothing_and_removes_what_is_no_page(world: World, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.folder.rglob("*")}
    stray = world.folder / "departements" / "zz.html"
    stray.write_text("old")
    built = build_site(world.site, world.folder)
    assert (built.written, built.removed) == (0, 1)
    assert {path: path.stat().st_mtime_ns for path in before if path.is_file()} == {
        path: stamp for path, stamp in before.items() if path.is_file()
    }


def test_a_folder_with_something_else_is_left_alone(world: World, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="holds something else"):
        build_site(world.site, tmp_path)
    with pytest.raises(ArgumentError, match="is not a folder"):
        build_site(world.site, tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_period_that_nothing_is_known_of_is_refused(world: World) -> None:
    with pytest.raises(ArgumentError, match="no day of it is published; there are 2017-Q1 to 2017-Q2"):
        Site(world.reports, period=Quarter(2029, 1))


def test_an_empty_database_makes_a_site_that_says_so(database: Database, tmp_path: Path) -> None:
    site = Site(Reports(read_public(database), Rules()))
    assert site.period is None
    build_site(site, tmp_path / "site")
    page = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "Aucune observation n&#39;est encore publiée" in page
    _parse(tmp_path / "site/index.html")
    assert (tmp_path / "site" / MARK).exists()


def test_one_observation_makes_a_site_and_no_figure(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        add_desk(connection, "92-desk")
        connection.execute("SELECT ensure_partitions('2026-03-10', 0)")
        observed = observe(connection, "92-desk", "2026-03-10 09:30+00", "offered")
        connection.execute(
            """INSERT INTO baseline_visits
            SELECT '92-desk', '2026-03-10 09:00+00', '2026-03-10 09:30+00', probe, 1
            FROM observations WHERE id = %s""",
            [observed],
        )
    site = Site(Reports(read_public(database), Rules()))
    build_site(site, tmp_path / "site")
    assert site.period == Quarter(2026, 1)
    page = (tmp_path / "site/departements/92.html").read_text(encoding="utf-8")
    assert "Ce trimestre n&#39;est pas terminé : les chiffres vont jusqu&#39;au" in page
    assert "insuffisant" in page


def test_neither_an_exact_nor_a_fresh_slot_is_anywhere(database: Database, tmp_path: Path) -> None:
    """A desk probed up to this minute; every spelling of its slots is looked for in the whole site."""
    now = datetime.now(UTC).replace(microsecond=123_456)
    slots = [now + timedelta(days=9, hours=3, minutes=17), now + timedelta(days=11, minutes=41)]
    with database.connect() as connection:
        add_desk(connection, "92-desk")
        connection.execute("SELECT ensure_partitions(%s, 3)", [now - timedelta(days=20)])
        for hours in range(0, 24 * 14, 3):
            at = now - timedelta(hours=hours)
            observed = observe(
                connection,
                "92-desk",
                at.isoformat(),
                "offered",
                first_slot=slots[0],
                second_slot=slots[1],
                slot_has_time=True,
                slot_count=2,
            )
            connection.execute(
                "INSERT INTO baseline_visits SELECT '92-desk', %s, %s, probe, 1 FROM observations WHERE "
                "id = %s",
                [at.replace(minute=0, second=0, microsecond=0), at, observed],
            )
    observatory = read_public(database)
    until = observatory.published_until
    assert until is not None
    build_site(Site(Reports(observatory, Rules())), tmp_path / "site")
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in (tmp_path / "site").rglob("*")
        if path.is_file() and path.name != MARK
    }
    fresh = [date.fromordinal(until.toordinal() + ahead) for ahead in range(1, 5)]
    spelled = {slot.strftime(form) for slot in slots for form in ("%Y-%m-%d", "%d/%m/%Y", "%H:%M", "%Hh%M")}
    spelled |= {str(int(slot.timestamp())) for slot in slots}
    for path, text in texts.items():
        assert not {word for word in spelled if word in text}, path
        # Midnight in the feeds is the only time of day of all.
        assert not re.search(r"\b\d{1,2}[:h]\d{2}\b", text.replace("T00:00:00Z", "")), path
        assert not [day for day in fresh if day.isoformat() in text and path.suffix == ".csv"], path
    rows = texts[tmp_path / "site/donnees/departements/92.csv"]
    assert until.isoformat() in rows


def test_every_text_of_the_site_has_its_english(world: World) -> None:
    known = english()
    templates = "".join(path.read_text(encoding="utf-8") for path in (SITE / "templates").glob("*.html"))
    build = (SITE / "build.py").read_text(encoding="utf-8")
    said = set(re.findall(r'\b_\(\s*"([^"]*)"', templates)) | set(re.findall(r"\b_\(\s*'([^']*)'", templates))
    said |= set(re.findall(r'(?:translated|tell)\(\s*"([^"]*)"', build))
    assert said - known.keys() == set()
    assert "Disponibilité" not in world.page("en/index.html")


def test_a_reply_is_read_from_its_file_or_refused_with_its_place(tmp_path: Path) -> None:
    good = '[[reply]]\ndepartement = "92"\nreceived_on = 2026-10-12\nauthor = "Le préfet"\n'
    good += 'text = "Un.\\n\\nDeux."\n'
    (tmp_path / "92.toml").write_text(good, encoding="utf-8")
    (reply,) = read_replies(str(tmp_path))
    assert reply.paragraphs == ("Un.", "Deux.")
    (tmp_path / "92.toml").write_text(good.replace('"92"', '"920"'), encoding="utf-8")
    with pytest.raises(ArgumentError, match=r'92\.toml: reply 1: departement "920" is unknown'):
        read_replies(str(tmp_path))
    with pytest.raises(ArgumentError, match="is not a folder"):
        read_replies(str(tmp_path / "nowhere"))
    assert read_replies(None) == []
