"""The declared settings: where each is read from, and the line a wrong value stops with."""

from __future__ import annotations

from pathlib import Path

import pytest

from guichets import configuration, settings
from guichets.configuration import SETTINGS, read, read_from, unknown_names
from guichets.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_declared_setting_says_what_it_is_and_its_default_is_readable(
    setting: configuration.Setting,
) -> None:
    assert setting.name.startswith("GUICHETS_")
    assert setting.sentence.endswith(".")
    value = read(setting.name)
    assert value == setting.parse(str(setting.default))
    if isinstance(value, float):
        assert setting.unit in {"seconds", "minutes", "share"}


def test_settings_are_declared_once() -> None:
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GUICHETS_HOST_DELAY", 10.0),
        ("GUICHETS_FORM_INTERVAL", 900.0),
        ("GUICHETS_DATABASE_URL", ""),
        ("GUICHETS_CATALOGUE", ""),
        ("GUICHETS_HOME", "var"),
        ("GUICHETS_EZJSCORE", False),
    ],
)
def test_default_is_that_of_the_design(name: str, value: object) -> None:
    assert read(name) == value


@pytest.mark.parametrize("value", ["deux mots", "jeton\nX-Autre: 1", "clé"])
def test_secret_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^GUICHETS_ANTS_TOKEN: expected letters") as refusal:
        read("GUICHETS_ANTS_TOKEN", value)
    assert value not in str(refusal.value)


def test_secret_is_sent_in_the_clear_to_this_machine_alone() -> None:
    places = "https://api.example,http://127.0.20.1:8001"
    assert read("GUICHETS_ANTS_TOKEN_FOR", places) == ("https://api.example", "http://127.0.20.1:8001")
    with pytest.raises(ConfigurationError, match=r"'http://api\.example' is neither"):
        read("GUICHETS_ANTS_TOKEN_FOR", "http://api.example")


def test_given_value_goes_before_the_environment_and_the_environment_before_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert read("GUICHETS_HOME") == "var"
    monkeypatch.setenv("GUICHETS_HOME", "/srv/guichets")
    assert read("GUICHETS_HOME") == "/srv/guichets"
    assert read("GUICHETS_HOME", "elsewhere") == "elsewhere"
    assert read_from({"GUICHETS_HOME": "from-scrapy"}, "GUICHETS_HOME") == "from-scrapy"
    assert read_from({}, "GUICHETS_HOME") == "/srv/guichets"


def test_pace_is_never_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUICHETS_HOST_DELAY", "0")
    assert read("GUICHETS_HOST_DELAY") == 10.0


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("GUICHETS_HOST_DELAY", 0, 0.0),
        ("GUICHETS_HOST_DELAY", "2.5", 2.5),
        ("GUICHETS_MAX_HOSTS", "8", 8),
        ("GUICHETS_EZJSCORE", "Yes", True),
        ("GUICHETS_EZJSCORE", True, True),
        ("GUICHETS_EZJSCORE", "0", False),
        ("GUICHETS_CONTROL_URLS", "", ()),
        (
            "GUICHETS_CONTROL_URLS",
            " https://a.example/ ,, http://b.example:8000/x ",
            ("https://a.example/", "http://b.example:8000/x"),
        ),
        ("GUICHETS_CONTACT", " robot@example.org ", "robot@example.org"),
    ],
)
def test_text_is_read_as_what_the_setting_holds(name: str, given: object, value: object) -> None:
    assert read(name, given) == value


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        *(
            (
                "GUICHETS_HOST_DELAY",
                wrong,
                rf"^GUICHETS_HOST_DELAY='{wrong}': expected a number of seconds, 0 or more$",
            )
            for wrong in ("ten", "-1", "nan", "inf", "", "1,5", "1e12")
        ),
        *(
            (
                "GUICHETS_MAX_HOSTS",
                wrong,
                rf"^GUICHETS_MAX_HOSTS='{wrong}': expected a whole number, 1 or more$",
            )
            for wrong in ("0", "-3", "2.5", "many")
        ),
        ("GUICHETS_EZJSCORE", "maybe", r"^GUICHETS_EZJSCORE='maybe': expected true or false$"),
        ("GUICHETS_CONTROL_URLS", "ftp://a.example", r"'ftp://a\.example' is not one$"),
        ("GUICHETS_CONTROL_URLS", "https://a.example, b.example", r"'b\.example' is not one$"),
        ("GUICHETS_CONTACT", "", r"expected a URL or a mail address"),
        ("GUICHETS_CONTACT", "a\r\nX-Header: 1", r"expected a URL or a mail address"),
        ("GUICHETS_CONTACT", "a) (b", r"expected a URL or a mail address"),
    ],
)
def test_wrong_value_stops_with_one_line_that_quotes_it(name: str, given: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(name, given)
    assert "\n" not in str(caught.value)


def test_undeclared_name_is_our_own_mistake() -> None:
    with pytest.raises(KeyError):
        read("GUICHETS_NOTHING")


def test_unknown_names_are_told_with_the_nearest_known_one() -> None:
    assert unknown_names(["GUICHETS_HOSTDELAY", "GUICHETS_ZZZZZZZZZZZZ", "GUICHETS_HOME", "OTHER"]) == [
        "GUICHETS_HOSTDELAY is not a setting of Guichets. Did you mean GUICHETS_HOST_DELAY?",
        "GUICHETS_ZZZZZZZZZZZZ is not a setting of Guichets.",
    ]


def test_home_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert configuration.home() == tmp_path / "var"
    monkeypatch.setenv("GUICHETS_HOME", "~/guichets")
    assert configuration.home() == Path.home() / "guichets"


def test_scrapy_is_told_to_be_polite_and_plain() -> None:
    assert settings.USER_AGENT.startswith("Guichets/")
    assert "(+http" in settings.USER_AGENT
    assert settings.CONCURRENT_REQUESTS_PER_DOMAIN == 1
    assert settings.DOWNLOAD_VERIFY_CERTIFICATES is True
    assert settings.REMOTE_CONTROL_ENABLED is False
    assert settings.RETRY_ENABLED is False
    assert settings.DOWNLOAD_FAIL_ON_DATALOSS is True
    order = settings.DOWNLOADER_MIDDLEWARES
    numbered = sorted((number, name) for name, number in order.items() if number is not None)
    names = [name.rpartition(".")[2] for _, name in numbered]
    after_the_gate = names[names.index("GateMiddleware") + 1 :]
    assert after_the_gate[0] == "PaceMiddleware"
    assert set(after_the_gate) <= {"PaceMiddleware", "ArchiveMiddleware"}, "may change what the gate judged"
