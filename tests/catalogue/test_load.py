"""What makes a catalogue folder be refused, and what it is told; every text is checked."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guichets.catalogue import _files, load
from guichets.errors import CatalogueError

DESK = """\
[[desk]]
id = "92-nanterre-remise-titre"
family = "ezbooking"
departement = "92"
office = "Préfecture des Hauts-de-Seine"
procedure = "remise_titre"
label = "Remise d'un titre de séjour"
url = "https://www.hauts-de-seine.gouv.fr/booking/create/12083"
params = {}
valid_from = 2021-04-01
"""

CHANNEL = """\
[[channel]]
office = "Préfecture de la Vienne"
procedure = "renouvellement"
channel = "phone"
exclusive = false
valid_from = 2017-01-01
source = "press release of La Cimade Centre-Ouest, 2017"
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        folder.joinpath(f"{name.lstrip('_')}.toml").write_text(text, encoding="utf-8")
    return folder


def reasons_of(folder: Path) -> list[str]:
    with pytest.raises(CatalogueError) as refusal:
        load(folder)
    assert all("\n" not in reason for reason in refusal.value.reasons)
    return refusal.value.reasons


def reason_of(folder: Path) -> str:
    """The only reason, without the folder."""
    (reason,) = reasons_of(folder)
    assert reason.startswith(str(folder))
    return reason.removeprefix(str(folder)).lstrip("/")


def test_the_example_of_the_design_is_accepted(tmp_path: Path) -> None:
    catalogue = load(write(tmp_path, _92=DESK, _86=CHANNEL))
    (desk,) = catalogue.desks
    assert desk.id == "92-nanterre-remise-titre"
    assert desk.valid_from == date(2021, 4, 1)
    assert desk.host == "www.hauts-de-seine.gouv.fr"
    (channel,) = catalogue.channels
    assert (channel.departement, channel.channel, channel.exclusive) == ("86", "phone", False)
    assert catalogue.desk("92-nanterre-remise-titre") is desk
    assert len(catalogue.version) == 64


def test_a_file_of_any_other_name_may_hold_desks_of_any_departement(tmp_path: Path) -> None:
    other = DESK.replace('"92', '"93').replace("12083", "16105")
    assert len(load(write(tmp_path, sandbox=DESK + other)).desks) == 2


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param(
            '"ezbooking"',
            '"ez_booking"',
            '92.toml:3: desk "92-nanterre-remise-titre": family "ez_booking" is unknown. '
            'Did you mean "ezbooking"?',
            id="family",
        ),
        pytest.param(
            '"remise_titre"',
            '"remise-titre"',
            '92.toml:6: desk "92-nanterre-remise-titre": procedure "remise-titre" is unknown. '
            'Did you mean "remise_titre"?',
            id="procedure",
        ),
        pytest.param(
            'departement = "92"',
            'departement = "96"',
            '92.toml:4: desk "92-nanterre-remise-titre": departement "96" is unknown. '
            'Write an INSEE code such as "01", "2A" or "974" ("99" for the consulates).',
            id="departement",
        ),
        pytest.param(
            'departement = "92"',
            'departement = "Hauts de Seine"',
            '92.toml:4: desk "92-nanterre-remise-titre": departement "Hauts de Seine" is unknown. '
            'Did you mean "92"?',
            id="departement-name",
        ),
        pytest.param(
            'departement = "92"',
            'departement = "1"',
            '92.toml:4: desk "92-nanterre-remise-titre": departement "1" is unknown. Did you mean "01"?',
            id="departement-without-zero",
        ),
        pytest.param(
            'departement = "92"',
            "departement = 92",
            '92.toml:4: desk "92-nanterre-remise-titre": departement 92 must be a text in quotes',
            id="departement-number",
        ),
        pytest.param(
            'departement = "92"',
            'departement = "93"',
            '92.toml:4: desk "92-nanterre-remise-titre": departement "93" is not the file\'s, "92": '
            "move the table to 93.toml or correct the code",
            id="departement-of-another-file",
        ),
        pytest.param(
            "label = ",
            "lable = ",
            '92.toml:7: desk "92-nanterre-remise-titre": key "lable" is unknown. Did you mean "label"?',
            id="unknown-key",
        ),
        pytest.param(
            "params = {}",
            "params = {dwr = 2}",
            '92.toml:9: desk "92-nanterre-remise-titre": param "dwr" is unknown for family "ezbooking". '
            "ezbooking takes none.",
            id="params-of-a-family-without-any",
        ),
        pytest.param(
            "params = {}",
            "params = []",
            '92.toml:9: desk "92-nanterre-remise-titre": params [] must be a table such as {}',
            id="params-list",
        ),
        pytest.param(
            "2021-04-01",
            '"2021-04-01"',
            '92.toml:10: desk "92-nanterre-remise-titre": valid_from "2021-04-01" is a text: '
            "write the date without quotes, 2021-04-01",
            id="date-in-quotes",
        ),
        pytest.param(
            "2021-04-01",
            "2021-04-01T10:00:00",
            '92.toml:10: desk "92-nanterre-remise-titre": valid_from 2021-04-01 10:00:00 has a time: '
            "write the date alone, 2021-04-01",
            id="date-with-time",
        ),
        pytest.param(
            "2021-04-01",
            "2021",
            '92.toml:10: desk "92-nanterre-remise-titre": valid_from 2021 must be '
            "a date such as 2021-04-01, without quotes",
            id="year",
        ),
        pytest.param(
            "valid_from = 2021-04-01",
            "valid_from = 2021-04-01\nvalid_to = 2021-03-31",
            '92.toml:11: desk "92-nanterre-remise-titre": valid_to 2021-03-31 '
            "comes before valid_from 2021-04-01",
            id="period-backwards",
        ),
        pytest.param(
            '"92-nanterre-remise-titre"',
            '"92_Nanterre"',
            '92.toml:2: desk "92_Nanterre": id "92_Nanterre" must be '
            "1 to 100 letters a-z, digits and hyphens",
            id="id-pattern",
        ),
        pytest.param(
            '"Préfecture des Hauts-de-Seine"',
            '"  "',
            '92.toml:5: desk "92-nanterre-remise-titre": office "  " is empty',
            id="empty-office",
        ),
        pytest.param(
            '"Remise d\'un titre de séjour"',
            '""',
            '92.toml:7: desk "92-nanterre-remise-titre": label "" is empty',
            id="empty-label",
        ),
        pytest.param(
            "Remise d'un",
            r"Remise\u0000d'un",
            '92.toml:7: desk "92-nanterre-remise-titre": label "Remise\\x00d\'un titre de séjour" '
            "holds the control character \\x00: remove it",
            id="nul-character",
        ),
        pytest.param(
            'id = "92-nanterre-remise-titre"\n',
            "",
            '92.toml:1: desk no. 1 of the file: key "id" is missing: add id = …',
            id="missing-id",
        ),
        pytest.param(
            "https://www",
            "ftp://www",
            '92.toml:8: desk "92-nanterre-remise-titre": url '
            '"ftp://www.hauts-de-seine.gouv.fr/booking/create/12083" has the scheme "ftp": '
            'it must begin with "https://" or "http://"',
            id="url-scheme",
        ),
        pytest.param("= {}", "= {", "92.toml:9: not TOML: ", id="syntax"),
        pytest.param(
            "[[desk]]",
            "[desk]",
            "92.toml:1: write [[desk]] between double brackets, once above each desk",
            id="single-brackets",
        ),
        pytest.param(
            "[[desk]]\n",
            "",
            '92.toml:1: key "id" stands outside any table: put it below a [[desk]] or [[channel]] line',
            id="keys-outside-tables",
        ),
        pytest.param(
            "[[desk]]",
            "[[desks]]",
            '92.toml:1: table "desks" is unknown: expected [[desk]] or [[channel]]. Did you mean "desk"?',
            id="unknown-table",
        ),
    ],
)
def test_a_bad_desk_is_refused_with_file_line_value_and_what_to_do(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    assert old in DESK
    reasons = reasons_of(write(tmp_path, _92=DESK.replace(old, new)))
    assert reasons[0].removeprefix(f"{tmp_path}/").startswith(reason)


def test_every_reason_is_given_at_once(tmp_path: Path) -> None:
    folder = write(tmp_path, _92=DESK.replace("ezbooking", "x"), _93=DESK.replace("[[desk]]", "[[desk"))
    assert len(reasons_of(folder)) == 2


def test_a_duplicate_id_names_both_places(tmp_path: Path) -> None:
    again = DESK.replace("12083", "12084").replace('departement = "92"', 'departement = "93"')
    assert reason_of(write(tmp_path, _92=DESK, _93=again)) == (
        '93.toml:2: desk "92-nanterre-remise-titre": id "92-nanterre-remise-titre" is already taken at '
        f"{tmp_path}/92.toml:2: ids are never shared or reused"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://www.hauts-de-seine.gouv.fr/booking/create/12083",
        "https://WWW.Hauts-de-Seine.gouv.fr/booking/create/12083/0",
        "https://www.hauts-de-seine.gouv.fr:443/index.php/booking/create/12083/",
        "http://www.hauts-de-seine.gouv.fr:80/layout/set/print/booking/create/12083/0/",
    ],
)
def test_two_desks_with_the_same_entry_are_refused(tmp_path: Path, url: str) -> None:
    again = DESK.replace("92-nanterre-remise-titre", "92-b").replace(
        "https://www.hauts-de-seine.gouv.fr/booking/create/12083", url
    )
    reason = reason_of(write(tmp_path, _92=DESK + again))
    assert reason.startswith('92.toml:18: desk "92-b": url "')
    assert f"is the same entry as the desk at {tmp_path}/92.toml:8: keep one of the two" in reason


def test_the_same_address_with_other_params_is_another_desk(tmp_path: Path) -> None:
    text = "".join(
        f"""[[desk]]
id = "94-{site}"
family = "eappointment"
departement = "94"
office = "Préfecture du Val-de-Marne"
procedure = "titre_sejour"
label = "Étrangers"
url = "https://rdv-etrangers-94.interieur.gouv.fr/eAppointmentpref94/appointment.do"
params = {{ dwr = 2, site = "{site}" }}
"""
        for site in ("p941", "p942")
    )
    assert [desk.params["site"] for desk in load(write(tmp_path, _94=text)).desks] == ["p941", "p942"]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ("{ dwr = 4 }", "param dwr 4 must be one of 2, 3"),
        ("{ dwr = true }", "param dwr true must be a whole number"),
        (
            '{ sitekey = "P941" }',
            'param "sitekey" is unknown for family "eappointment". Did you mean "site"?',
        ),
        ('{ site = "" }', 'param site "" is empty'),
    ],
)
def test_params_are_checked_against_the_family(tmp_path: Path, params: str, reason: str) -> None:
    desk = DESK.replace("ezbooking", "eappointment").replace("params = {}", f"params = {params}")
    assert reason_of(write(tmp_path, _92=desk)) == (f'92.toml:9: desk "92-nanterre-remise-titre": {reason}')


def test_a_param_in_its_own_table_is_found_at_its_line(tmp_path: Path) -> None:
    desk = DESK.replace("params = {}\n", "") + "[desk.params]\n\ndwr = 2\n"
    assert reason_of(write(tmp_path, _92=desk)).startswith("92.toml:12:")


def test_lines_stay_right_below_texts_of_several_lines(tmp_path: Path) -> None:
    note = 'note = """\n[[desk]]\nfamily = "no"\n\\"""" # "\n'
    second = DESK.replace("92-nanterre-remise-titre", "92-b").replace('"ezbooking"', '"nope"')
    reason = reason_of(write(tmp_path, _92=DESK + note + second))
    assert reason.startswith('92.toml:17: desk "92-b": family "nope" is unknown. Known: ezbooking, ')


def test_a_repeated_channel_is_refused(tmp_path: Path) -> None:
    reason = reason_of(write(tmp_path, _86=CHANNEL + CHANNEL, _92=DESK))
    assert "channel no. 2 of the file: the same channel with the same valid_from stands at" in reason


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            '"phone"',
            '"fax"',
            '86.toml:4: channel no. 1 of the file: channel "fax" is unknown. Known: online,',
        ),
        ("false", '"no"', '86.toml:5: channel no. 1 of the file: exclusive "no" must be true or false'),
    ],
)
def test_a_bad_channel_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert reason_of(write(tmp_path, _86=CHANNEL.replace(old, new), _92=DESK)).startswith(reason)


def test_a_channel_in_a_file_of_no_departement_must_say_its_own(tmp_path: Path) -> None:
    reason = reason_of(write(tmp_path, all=DESK + CHANNEL))
    assert 'key "departement" is missing: add departement = …' in reason


HOST = '[[host]]\nhost = "www.ain.gouv.fr"\ndelay_seconds = 30\n'


def test_host_rules_are_read(tmp_path: Path) -> None:
    (rule,) = load(write(tmp_path, _92=DESK, hosts=HOST)).hosts
    assert (rule.host, rule.delay_seconds, rule.forbidden) == ("www.ain.gouv.fr", 30.0, False)


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        (
            HOST.replace("30", "-1"),
            'hosts.toml:3: host "www.ain.gouv.fr": delay_seconds -1 must be a number of seconds from 0 to '
            "86400: it can only slow the visits of this host down",
        ),
        (HOST.replace("30", "nan"), "delay_seconds nan must be a number of seconds"),
        (HOST.replace("30", "true"), "delay_seconds true must be a whole number or a number"),
        (HOST.replace('"www', '"https://www'), "is not a host: write the name alone"),
        (HOST + HOST, f"already has a rule at {{folder}}{os.sep}hosts.toml:2: keep one of the two"),
        (
            HOST.replace("delay_seconds", "delay_second"),
            'key "delay_second" is unknown. Did you mean "delay_seconds"?',
        ),
        (DESK, "hosts.toml:1: table [[desk]] belongs in a file per département, not in hosts.toml"),
    ],
)
def test_bad_host_rules_are_refused(tmp_path: Path, hosts: str, reason: str) -> None:
    assert reason.format(folder=tmp_path) in reasons_of(write(tmp_path, _92=DESK, hosts=hosts))[0]


def test_host_rules_stay_in_their_file(tmp_path: Path) -> None:
    assert reason_of(write(tmp_path, _92=DESK + HOST)) == "92.toml:11: table [[host]] belongs in hosts.toml"


def test_bytes_that_are_not_utf8_are_refused_with_their_offset(tmp_path: Path) -> None:
    data = DESK.encode("latin-1")
    tmp_path.joinpath("92.toml").write_bytes(data)
    offset = data.index(b"\xe9")
    assert reason_of(tmp_path) == f"92.toml:5: byte {offset} (0xe9) is not UTF-8: save the file as UTF-8"


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    tmp_path.joinpath("92.toml").write_bytes(b"\xef\xbb\xbf" + DESK.replace("\n", "\r\n").encode())
    assert load(tmp_path).desks[0].procedure == "remise_titre"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert reasons_of(tmp_path) == [
        f"{tmp_path}: holds no .toml file; one file per département is expected, such as 92.toml"
    ]


def test_a_folder_without_any_desk_is_refused(tmp_path: Path) -> None:
    (reason,) = reasons_of(write(tmp_path, _86=CHANNEL))
    assert reason.endswith("no file holds a [[desk]] table, so there would be nothing to probe")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert reasons_of(tmp_path / "nowhere") == [f"{tmp_path}/nowhere: there is no such folder"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path, _92=DESK)
    (reason,) = reasons_of(tmp_path / "92.toml")
    assert reason.endswith("92.toml: is not a folder; give the folder that holds the .toml files")


def test_what_is_not_a_plain_file_is_refused_without_being_opened(tmp_path: Path) -> None:
    write(tmp_path, _92=DESK)
    tmp_path.joinpath("01.toml").mkdir()
    os.mkfifo(tmp_path / "02.toml")
    tmp_path.joinpath("03.toml").symlink_to("/dev/zero")
    tmp_path.joinpath("04.toml").symlink_to(tmp_path / "nowhere")
    tmp_path.joinpath(".#92.toml").symlink_to("editor-lock")
    reasons = [reason.removeprefix(f"{tmp_path}/") for reason in reasons_of(tmp_path)]
    assert reasons == [
        "01.toml: is not a plain file; rename or remove it",
        "02.toml: is not a plain file; rename or remove it",
        "03.toml: is not a plain file; rename or remove it",
        "04.toml: cannot be read: No such file or directory",
    ]


def test_a_link_to_a_good_file_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    folder.joinpath("92.toml").symlink_to(write(tmp_path, _92=DESK) / "92.toml")
    assert len(load(folder).desks) == 1


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "MAX_FILE_BYTES", 100)
    assert reason_of(write(tmp_path, _92=DESK)) == "92.toml: is larger than 100 bytes; split it"


def test_a_file_named_after_no_departement_is_refused(tmp_path: Path) -> None:
    assert reasons_of(write(tmp_path, _96="", _92=DESK))[0].endswith(
        "96.toml: the file's name is not the code of a département. "
        'Write an INSEE code such as "01", "2A" or "974" ("99" for the consulates).'
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = " + "[" * 5000, id="deep-brackets"),
        pytest.param("x = " + "9" * 5000, id="endless-number"),
        pytest.param("[[desk]]\nparams.site = 0x" + "f" * 9000, id="endless-hexadecimal"),
        pytest.param("[[desk]]\nnote." + "a." * 3000 + "a = 1", id="bottomless-table"),
        pytest.param("desk = [1, {}]", id="mixed-list"),
        pytest.param("desk = []", id="empty-list"),
        pytest.param('"" = 1', id="empty-key"),
        pytest.param('[[desk]]\n"a\\u2028b" = 1', id="line-separator-in-key"),
    ],
)
def test_odd_toml_is_refused_in_plain_lines(tmp_path: Path, text: str) -> None:
    assert reasons_of(write(tmp_path, _92=text))


def test_a_desk_written_inline_is_accepted(tmp_path: Path) -> None:
    inline = "desk = [ { " + ", ".join(DESK.splitlines()[1:]) + " } ]"
    assert len(load(write(tmp_path, _92=inline)).desks) == 1


def test_the_version_follows_names_and_bytes(tmp_path: Path) -> None:
    versions = set()
    for name, text in (("92", DESK), ("92", DESK + "\n"), ("a", DESK)):
        folder = tmp_path / str(len(versions))
        folder.mkdir()
        versions.add(load(write(folder, **{f"_{name}": text})).version)
    assert len(versions) == 3


def test_the_configured_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUICHETS_CATALOGUE", str(write(tmp_path, _92=DESK)))
    catalogue = load()
    assert catalogue.folder == str(tmp_path)
    assert len(catalogue.desks) == 1


def test_a_configured_home_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUICHETS_CATALOGUE", "~nobody-here/catalogue")
    with pytest.raises(CatalogueError, match='GUICHETS_CATALOGUE="~nobody-here/catalogue": '):
        load()


_pieces = st.lists(
    st.sampled_from(
        [
            *DESK.splitlines(keepends=True),
            *CHANNEL.splitlines(keepends=True),
            '"""',
            "'",
            "[",
            "]",
            "{}",
            "\n",
        ]
    )
    | st.text(max_size=10),
    max_size=25,
).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass"))


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the folder is overwritten by each example
@given(data=st.binary(max_size=200) | _pieces, name=st.sampled_from(["92.toml", "hosts.toml", "x.toml"]))
def test_arbitrary_bytes_never_raise_anything_but_a_refusal(tmp_path: Path, data: bytes, name: str) -> None:
    for left in tmp_path.iterdir():
        left.unlink()
    tmp_path.joinpath(name).write_bytes(data)
    reasons = ["accepted"]
    try:
        load(tmp_path)
    except CatalogueError as refusal:
        reasons = refusal.reasons
    assert reasons
    assert all(reason and "\n" not in reason for reason in reasons)
