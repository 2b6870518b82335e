"""The EZBooking pages and steps, request by request, after the dossier."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

import aiohttp
import pytest
from parsel import Selector
from sandbox_walker import BEGIN, NEXT

from guichets.sandbox import Options, Sandbox
from guichets.sandbox.families.ezbooking import first_week

START = datetime(2026, 3, 24, 10, 17, tzinfo=UTC)
SEVERAL = {"plannings": 0, "prefix": "", "entry": "", "first_post_ignored": "", "radios_change": False}
MONTHS = ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
          "novembre", "décembre")  # fmt: skip


class Visitor:
    """A client that follows nothing by itself."""

    def __init__(self, sandbox, desk):
        self.sandbox = sandbox
        self.desk = desk
        self.base = re.sub(r"/0$", "", desk["url"])

    async def __aenter__(self):
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        return self

    async def __aexit__(self, *_):
        await self.session.close()

    async def ask(self, method, path, fields=None, **keywords):
        async with self.session.request(
            method, self.base + path, data=fields, allow_redirects=False, **keywords
        ) as answer:
            return answer, await answer.text()

    async def step(self, method, path, fields=None):
        """The page, whichever way it comes."""
        answer, text = await self.ask(method, path, fields)
        if answer.status == 302:
            target = re.sub(r".*/booking/create/\d+", "", answer.headers["Location"])
            answer, text = await self.ask("GET", target)
        return Selector(text)


@pytest.fixture
async def sandbox():
    async with Sandbox(Options(port=0, desks=30, departements=10, speed=0, start=START)) as sandbox:
        yield sandbox


def visitor(sandbox, scene, *, choices=True, **manners):
    """A visitor of a desk that plays ``scene``, with several counters or one."""
    desk = next(d for d in sandbox.desk_list() if len(d["counters"]) >= 3 and "/print/" not in d["url"]
                and "index.php" not in d["url"])  # fmt: skip
    sandbox.set_scene(desk["id"], scene, {**SEVERAL, **manners, "plannings": 0 if choices else 1})
    return Visitor(sandbox, desk)


def heading(page):
    return page.css("h2::text").get()


ANSWERS = pytest.mark.parametrize("answers", ["redirect", "in-place"])
LAYOUTS = pytest.mark.parametrize("layout", ["old", "dsfr"])


@ANSWERS
@LAYOUTS
async def test_pages_hold_the_names_of_the_dossier(sandbox, answers, layout):
    async with visitor(sandbox, "offered", answers=answers, layout=layout) as client:
        page = await client.step("GET", "")
        assert heading(page) is None
        assert page.css("form#FormBookingCreate[name=create]::attr(action)").get().endswith("/0")
        assert page.css("input#condition[type=checkbox][name=condition]")
        buttons = page.css("input[type=submit]")
        assert [b.attrib["name"] for b in buttons] == ["nextButton", "manageButton"]

        page = await client.step("POST", "/0", BEGIN)
        assert heading(page) == "Choix de la nature du rendez-vous"
        assert page.css("#fchoix_Booking legend::text").get() == "Que souhaitez-vous effectuer ?"
        assert not page.css("#condition, input[checked]")
        keys = page.css("input[name=planning]::attr(value)").getall()
        assert keys == list(client.desk["counters"])
        assert page.css("input[name=planning]::attr(id)").getall() == [f"planning{key}" for key in keys]

        page = await client.step("POST", "/1", {"planning": keys[0], **NEXT})
        assert heading(page) == "Description de la nature du rendez-vous"
        assert page.css('img[src*="/etape_3r.png"]')
        assert page.css("#FormBookingCreate::attr(action)").get().endswith("/3")
        assert not page.css("#planning_Booking")

        page = await client.step("POST", "/3", NEXT)
        assert heading(page) == "Choix d'une plage horaire"
        assert page.css('img[src*="/etape_4r.png"]')
        assert page.css("input[name=nextButton]::attr(value)").get() == "Première plage horaire libre"
        assert page.css("#planning_Booking table th[colspan='7']::text").get().startswith("Semaine du lundi ")
        assert page.css("#planning_Booking td.free a")
        assert "Rechargement automatique du calendrier" in page.get()


@ANSWERS
@LAYOUTS
async def test_no_slot_sentence_is_the_only_text_of_the_form(sandbox, answers, layout):
    async with visitor(sandbox, "none", answers=answers, layout=layout, no_slot="usual") as client:
        await client.step("GET", "")
        page = await client.step("POST", "/1", {"planning": next(iter(client.desk["counters"])), **NEXT})
        assert heading(page) == "Vérification de disponibilité"
        assert page.css("#FormBookingCreate").xpath("string()").get() == (
            "Il n'existe plus de plage horaire libre pour votre demande de rendez-vous. "
            "Veuillez recommencer ultérieurement."
        )
        assert page.css("input[type=submit]::attr(name)").getall() == ["finishButton"]


@LAYOUTS
@pytest.mark.parametrize("scene", ["none", "offered", "closed-no-calendar"])
async def test_footers_hold_the_words_that_mislead(sandbox, scene, layout):
    async with visitor(sandbox, scene, layout=layout) as client:
        page = await client.step("GET", "")
        footer = page.css("footer").get()
        for trap in (
            "ultérieurement",
            "libre",
            "il n'existe plus de plage horaire libre",
            "calendrier disponible",
        ):
            assert trap in footer


async def test_layouts_differ_in_position_only(sandbox):
    paths = {}
    for layout in ("old", "dsfr"):
        async with visitor(sandbox, "none", layout=layout) as client:
            page = await client.step("GET", "")
            form = page.css("#FormBookingCreate")[0].root
            paths[layout] = form.getroottree().getpath(form)
    assert paths["old"] != paths["dsfr"]


@pytest.mark.parametrize(("answers", "status"), [("redirect", 302), ("in-place", 200)])
async def test_a_post_redirects_or_shows_in_place(sandbox, answers, status):
    async with visitor(sandbox, "none", answers=answers, absolute_location=False) as client:
        await client.ask("GET", "")
        answer, _ = await client.ask("POST", "/0", BEGIN)
        assert answer.status == status
        assert answer.headers.get("Location", "/1").endswith("/1")


async def test_absolute_location_names_scheme_and_host(sandbox):
    async with visitor(sandbox, "none", answers="redirect", absolute_location=True) as client:
        await client.ask("GET", "")
        answer, _ = await client.ask("POST", "/0", BEGIN)
        assert answer.headers["Location"] == client.base + "/1"


@ANSWERS
@pytest.mark.parametrize(("scene", "expected"), [("none", "Vérification"), ("offered", "Description")])
async def test_a_single_planning_skips_step_1(sandbox, scene, expected, answers):
    async with visitor(sandbox, scene, choices=False, answers=answers, lists_one_planning=False,
                       no_slot="usual") as client:  # fmt: skip
        await client.step("GET", "")
        assert heading(await client.step("POST", "/0", BEGIN)).startswith(expected)


async def test_step_3_may_be_skipped(sandbox):
    async with visitor(sandbox, "offered-step3-skipped") as client:
        await client.step("GET", "")
        page = await client.step("POST", "/1", {"planning": next(iter(client.desk["counters"])), **NEXT})
        assert heading(page) == "Choix d'une plage horaire"


@pytest.mark.parametrize(
    ("step", "fields"),
    [("/0", {"nextButton": "x"}), ("/0", {"condition": "on"}), ("/1", {}), ("/1", NEXT),
     ("/1", {"planning": "1", **NEXT})],
    ids=["no-condition", "no-button", "empty", "no-planning", "unknown-planning"],
)  # fmt: skip
async def test_what_is_missing_shows_the_step_again(sandbox, step, fields):
    async with visitor(sandbox, "none") as client:
        await client.ask("GET", "")
        answer, text = await client.ask("POST", step, fields)
        assert answer.status == 200
        assert Selector(text).css("#FormBookingCreate::attr(action)").get().endswith(step)


async def test_counters_are_listed_in_a_fresh_session(sandbox):
    async with visitor(sandbox, "none") as client:
        page = await client.step("GET", "/1")
        assert len(page.css("input[name=planning]")) == len(client.desk["counters"])


@pytest.mark.parametrize("step", ["/2", "/3", "/4"])
@pytest.mark.parametrize("scene", ["none", "offered"])
async def test_a_result_without_state_is_step_0(sandbox, scene, step):
    async with visitor(sandbox, scene) as client:
        page = await client.step("GET", step)
        assert page.css("#condition")


async def test_post_of_step_2_shows_the_same_page_as_get(sandbox):
    async with visitor(sandbox, "none") as client:
        choice = {"planning": next(iter(client.desk["counters"])), **NEXT}
        await client.step("POST", "/1", choice)
        _, got = await client.ask("GET", "/2")
        _, posted = await client.ask("POST", "/2", choice)
        assert got == posted
        assert "finishButton" in got
        assert (await client.step("POST", "/2", {"finishButton": "Terminer"})).css("#condition")


async def test_the_session_cookie_is_26_letters_and_digits_and_any_value_will_do(sandbox):
    async with visitor(sandbox, "none", answers="redirect") as client:
        answer, _ = await client.ask("GET", "")
        assert re.fullmatch(r"[a-z0-9]{26}", answer.cookies["eZSESSID"].value)
        client.session.cookie_jar.clear()
        cookies = {"Cookie": "eZSESSID=always-the-same"}
        choice = {"planning": next(iter(client.desk["counters"])), **NEXT}
        answer, _ = await client.ask("POST", "/1", choice, headers=cookies)
        assert answer.headers["Location"].endswith("/2")
        assert "Set-Cookie" not in answer.headers
        _, text = await client.ask("GET", "/2", headers=cookies)
        assert "finishButton" in text


@pytest.mark.parametrize("step", ["0", "1"])
async def test_a_first_post_may_be_ignored_once_a_visit(sandbox, step):
    async with visitor(sandbox, "none", first_post_ignored=step) as client:
        fields = BEGIN if step == "0" else {"planning": next(iter(client.desk["counters"])), **NEXT}
        for _ in range(2):
            await client.step("GET", "")
            for expected in (f"/{step}", f"/{int(step) + 1}"):
                page = await client.step("POST", f"/{step}", fields)
                assert page.css("#FormBookingCreate::attr(action)").get().endswith(expected)


async def test_radios_change_between_two_visits_and_not_within_one(sandbox):
    async with visitor(sandbox, "none", radios_change=True) as client:
        lists = []
        for _ in range(2):
            await client.step("GET", "")
            again = [
                (await client.step("GET", "/1")).css("[name=planning]::attr(value)").getall()
                for _ in range(2)
            ]
            assert again[0] == again[1]
            lists.append(again[0])
        assert lists[0] != lists[1]


@pytest.mark.parametrize("prefix", ["", "/index.php", "/layout/set/print"])
async def test_every_form_of_the_address_answers_and_keeps_its_prefix(sandbox, prefix):
    async with visitor(sandbox, "none", answers="redirect", absolute_location=False) as client:
        path = client.base.split("/booking")[1]
        client.base = f"http://{client.desk['host']}{prefix}/booking{path}"
        page = await client.step("GET", "/0")
        assert page.css("form::attr(action)").get() == f"{prefix}/booking{path}/0"
        answer, _ = await client.ask("POST", "/0", BEGIN)
        assert answer.headers["Location"] == f"{prefix}/booking{path}/1"


async def test_the_displayed_week_may_be_complet_though_slots_exist(sandbox):
    async with visitor(sandbox, "offered-complet-week", skips_step3=True) as client:
        page = await client.step("POST", "/1", {"planning": next(iter(client.desk["counters"])), **NEXT})
        cells = page.css("#planning_Booking td::text").getall()
        assert "complet" in cells
        assert not page.css("#planning_Booking td a")
        truth = sandbox.truth(desk=client.desk["id"])[client.desk["id"]]
        assert truth["outcome"] == "offered"
        assert truth["first_slot"] is None
        assert truth["free_slots"] > 0


@pytest.mark.parametrize("day", [date(2026, 3, 27), date(2026, 10, 23), date(2026, 12, 30)],
                         ids=["dst-march", "dst-october", "new-year"])  # fmt: skip
async def test_unix_times_are_those_of_the_cells_in_the_zone_of_the_desk(day):
    start = datetime.combine(day, time(12), UTC)
    scene = "offered-step3-skipped"
    manners = {"lists_one_planning": True, "first_post_ignored": "", "no_slot": "usual"}
    options = Options(port=0, desks=101, departements=101, speed=0, start=start, mixture=scene)
    async with Sandbox(options) as sandbox:
        zones = set()
        for desk in sandbox.desk_list()[::4] + sandbox.desk_list()[-5:]:
            plan = sandbox.play.desks[desk["id"]]
            zones.add(str(plan.zone))
            sandbox.set_scene(desk["id"], scene, manners)
            async with Visitor(sandbox, desk) as client:
                key = (await client.step("GET", "/1")).css("[name=planning]::attr(value)").get()
                page = await client.step("POST", "/1", {"planning": key, **NEXT})
            cells = list(_free_cells(page))
            assert cells
            for day, hour, unix in cells:
                local = datetime.fromtimestamp(unix, plan.zone)
                assert (local.date(), f"{local:%H:%M}") == (day, hour)
        assert len(zones) > 3


def _free_cells(page):
    period = page.css("#planning_Booking th[colspan='7']::text").get()
    day, month, year = re.match(r"Semaine du lundi (\d\d) (\S+) (\d{4})", period).groups()
    monday = datetime(int(year), MONTHS.index(month) + 1, int(day), tzinfo=UTC).date()
    for row in page.css("#planning_Booking tbody tr"):
        hour, *cells = row.css("td")
        for place, cell in enumerate(cells):
            for href in cell.css("a::attr(href)").getall():
                yield monday + timedelta(days=place), hour.css("::text").get(), int(href.rsplit("/", 1)[1])


async def _week(client, key, offset):
    number = client.base.rsplit("/", 1)[1]
    url = f"http://{client.desk['host']}/ezjscore/call/bookingserver::planning::assign::{number}::{key}::{offset}"
    async with client.session.get(url) as answer:
        return answer.status, await answer.text()


async def test_week_calls_count_days_from_the_first_week_of_the_planning(sandbox):
    async with visitor(sandbox, "offered", no_slot="usual") as client:
        key = next(iter(client.desk["counters"]))
        monday = first_week(key)
        status, text = await _week(client, key, 0)
        assert status == 200
        assert f"Semaine du lundi {monday.day:02} {MONTHS[monday.month - 1]} {monday.year}" in text
        assert text.count(">libre<") == 1  # the legend's
        truth = sandbox.truth(desk=client.desk["id"])[client.desk["id"]]["counters"][key]
        slot = datetime.fromisoformat(truth["first_slot"])
        offset = (slot.date() - monday).days // 7 * 7
        _, text = await _week(client, key, offset)
        assert text.count(">libre<") == truth["slot_count"] + 1
        assert f"/{int(slot.timestamp())}" in text


@pytest.mark.parametrize("scene", ["none-calendar-free", "closed-calendar-free"])
async def test_week_calls_may_show_free_cells_while_the_form_has_none(sandbox, scene):
    async with visitor(sandbox, scene, calendar_disagrees=True) as client:
        key = next(iter(client.desk["counters"]))
        today = (START.date() - first_week(key)).days
        shown = [(await _week(client, key, today + 7 * ahead))[1].count(">libre<") for ahead in (1, 2)]
        assert max(shown) > 1
        assert sandbox.truth(desk=client.desk["id"])[client.desk["id"]]["outcome"] == scene.split("-")[0]


async def test_a_wrong_pair_of_numbers_is_answered_without_a_date(sandbox):
    async with visitor(sandbox, "none") as client:
        status, text = await _week(client, "999999", 0)
        assert status == 200
        assert "Semaine" not in text


async def test_a_visit_finds_the_desk_as_it_was_at_its_step_0():
    async with Sandbox(
        Options(port=0, desks=60, departements=5, speed=0, start=START, mixture="lives")
    ) as sandbox:
        before = sandbox.truth()
        desks = [desk for desk in sandbox.desk_list() if before[desk["id"]]["outcome"] in {"none", "offered"}]
        visitors = []
        for desk in desks:
            client = await Visitor(sandbox, desk).__aenter__()
            await client.ask("GET", "")
            visitors.append(client)
        sandbox.play.clock.advance(3 * 86_400)
        after = sandbox.truth()
        assert any(before[desk["id"]]["outcome"] != after[desk["id"]]["outcome"] for desk in desks)
        for client in visitors:
            await client.ask("POST", "/0", BEGIN)
            line = list(sandbox.ledger.lines())[-1]
            assert f'"outcome":"{before[client.desk["id"]]["outcome"]}"' in line
            await client.__aexit__()
