from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from guichets.database import embedded
from tests.database.conftest import GUICHETS, Home, end, printed_dsn

ENDINGS = [
    pytest.param(signal.SIGINT, id="ctrl-c"),
    pytest.param(signal.SIGTERM, id="term"),
    pytest.param(signal.SIGKILL, id="kill-9"),
]


def _postmaster_pid(home: Home) -> int:
    return int((home.path / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])


def _answers(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn) as connection:
            return connection.execute("SELECT true").fetchone() == (True,)
    except psycopg.OperationalError:
        return False


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_server_is_shared_and_stops_after_its_last_user(home: Home, ending: signal.Signals) -> None:
    first, dsn = home.hold()
    second, same = home.hold()
    assert same == dsn
    end(first, ending)
    assert _answers(dsn)
    end(second, ending)
    home.wait_until_stopped()
    assert not _answers(dsn)
    assert not (home.path / "postgres" / "data" / "postmaster.pid").exists()


def test_a_killed_keeper_is_replaced_at_its_users_normal_end(home: Home) -> None:
    holder, _ = home.hold()
    home.kill_keeper()
    end(holder, signal.SIGTERM)
    home.wait_until_stopped()


def test_a_killed_keeper_is_replaced_by_the_next_user(home: Home) -> None:
    first, _ = home.hold()
    home.kill_keeper()
    second, dsn = home.hold()
    end(first, signal.SIGKILL)
    assert _answers(dsn)
    end(second, signal.SIGKILL)
    home.wait_until_stopped()


def test_ctrl_c_in_a_terminal_reaches_neither_server_nor_keeper(home: Home) -> None:
    first, _ = home.hold()
    second, dsn = home.hold()
    keeper = home.keeper_pid()
    os.killpg(first.pid, signal.SIGINT)
    os.killpg(first.pid, signal.SIGHUP)
    first.communicate(timeout=60)
    os.kill(keeper, 0)
    assert _answers(dsn)
    end(second, signal.SIGKILL)
    home.wait_until_stopped()


def test_starts_at_the_same_time_make_one_server(new_home: Home) -> None:
    holders = [new_home.start_holder() for _ in range(4)]
    with ThreadPoolExecutor(len(holders)) as pool:
        dsns = set(pool.map(printed_dsn, holders))
    assert len(dsns) == 1
    with psycopg.connect(dsns.pop()) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_database WHERE datname = 'guichets'"
        ).fetchone() == (1,)
    for holder in holders:
        end(holder, signal.SIGKILL)
    new_home.wait_until_stopped()


def test_users_that_come_while_it_stops_find_it_up(home: Home) -> None:
    for _ in range(3):
        holder, _ = home.hold()
        end(holder, signal.SIGKILL)
        holder, dsn = home.hold()  # the keeper may be stopping it at this instant
        assert _answers(dsn)
        end(holder, signal.SIGKILL)
    home.wait_until_stopped()


def test_what_was_committed_outlives_a_killed_server(home: Home) -> None:
    holder, dsn = home.hold()
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(_postmaster_pid(home), signal.SIGKILL)
    _, dsn = home.hold()
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert holder.poll() is None


def test_a_stale_pid_file_that_names_another_program_is_no_obstacle(home: Home) -> None:
    holder, dsn = home.hold()
    data = home.path / "postgres" / "data"
    left = (data / "postmaster.pid").read_text().splitlines()
    end(holder, signal.SIGKILL)
    home.wait_until_stopped()
    # as after a power cut, when the number has since been given to another program: this one
    (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *left[1:]]) + "\n")
    _, dsn = home.hold()
    assert _answers(dsn)


def test_a_killed_initialisation_is_begun_anew(new_home: Home) -> None:
    left = new_home.path / "postgres" / "data.new"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18\n")
    _, dsn = new_home.hold()
    assert _answers(dsn)
    assert not left.exists()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("données d'été/var", id="spaces-accents-quote"),
        pytest.param('a$HOME`id`"b,c\\d', id="shell-characters"),
        pytest.param("/".join(["long" * 10] * 4), id="longer-than-a-socket-path"),
    ],
)
def test_any_folder_can_be_a_home(make_home: Callable[[str], Home], name: str) -> None:
    home = make_home(name)
    holder, dsn = home.hold()
    assert _answers(dsn)
    end(holder, signal.SIGTERM)
    home.wait_until_stopped()


def test_a_home_that_was_removed_is_joined_anew_by_the_same_process(
    new_home: Home,
) -> None:
    program = (
        "import shutil, sys; from pathlib import Path; from guichets.database import embedded\n"
        "home = Path(sys.argv[1])\n"
        "embedded.join(home); embedded.stop(home); shutil.rmtree(home)\n"
        "print(embedded.join(home), flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [*GUICHETS[:2], program, new_home.path],
        env=new_home.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        dsn = process.stdout.readline().strip()
        assert [user.pid for user in embedded.users(new_home.path)] == [process.pid]
        assert _answers(dsn)
        process.kill()
    new_home.wait_until_stopped()


def test_more_connections_than_the_server_takes_are_one_clear_line(home: Home) -> None:
    _, dsn = home.hold()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(psycopg.connect(dsn))
        done = home.run("db", "status")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "guichets: The embedded PostgreSQL refuses to serve: sorry, too many clients already\n"
    )


def test_two_homes_are_two_servers(make_home: Callable[[str], Home]) -> None:
    (_, one), (_, other) = make_home("é/one").hold(), make_home("é/other").hold()
    with psycopg.connect(one) as connection:
        connection.execute("CREATE TABLE only_here ()")
    with psycopg.connect(other) as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


def test_a_server_whose_socket_was_swept_away_is_started_anew(make_home: Callable[[str], Home]) -> None:
    home = make_home("é")
    _, dsn = home.hold()
    folder = Path(str(conninfo.conninfo_to_dict(dsn)["host"]))
    shutil.rmtree(folder)
    _, dsn = home.hold()
    assert _answers(dsn)


def test_db_stop_stops_it_and_names_who_used_it(home: Home) -> None:
    holder, dsn = home.hold()
    done = home.run("db", "stop")
    assert done.returncode == 0
    assert done.stdout == f"Stopped: {home.path / 'postgres'}\n"
    assert f"It was in use by process {holder.pid} (" in done.stderr
    assert not _answers(dsn)
    _, again = home.hold()
    assert _answers(again)


def test_db_stop_of_a_stopped_server_says_so(new_home: Home) -> None:
    done = new_home.run("db", "stop")
    assert (done.returncode, done.stdout) == (0, f"Not running: {new_home.path / 'postgres'}\n")
    assert not new_home.path.exists()


def test_users_that_were_killed_are_not_named(home: Home) -> None:
    killed, _ = home.hold()
    alive, _ = home.hold()
    end(killed, signal.SIGKILL)
    done = home.run("db", "stop")
    assert f"process {alive.pid} (" in done.stderr
    assert f"process {killed.pid} (" not in done.stderr


def test_a_home_that_cannot_be_written_is_one_clear_line(new_home: Home) -> None:
    new_home.path.write_text("a file where the folder should be")
    done = new_home.run("db", "upgrade")
    assert done.returncode == 2
    assert done.stdout == ""
    where = new_home.path / "postgres"
    assert done.stderr == (
        f"guichets: {where}: Not a directory: the embedded PostgreSQL cannot be used there. "
        "Free some space or set GUICHETS_HOME to a folder you may write to.\n"
    )


def test_a_full_disk_is_one_clear_line_and_the_next_start_succeeds(new_home: Home) -> None:
    def allow_small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        [*GUICHETS, "db", "upgrade"],
        env=new_home.environment,
        cwd=new_home.path.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=allow_small_files_only,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"guichets: {new_home.path / 'postgres'}: the embedded PostgreSQL cannot be initialised: "
    )
    assert done.stderr.count("\n") == 1
    assert new_home.run("db", "upgrade").returncode == 0


def test_a_server_that_cannot_start_is_quoted(home: Home) -> None:
    with (home.path / "postgres" / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("work_mem = 'much'\n")
    done = home.run("db", "status")
    assert done.returncode == 2
    assert "the embedded PostgreSQL ended at once: " in done.stderr
    assert 'invalid value for parameter "work_mem": "much"' in (home.path / "postgres" / "log").read_text()


def test_data_of_a_version_that_is_not_installed_is_refused(new_home: Home) -> None:
    data = new_home.path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    done = new_home.run("db", "status")
    assert done.returncode == 2
    assert f"{data}: made by PostgreSQL 9; installed: 16, 18." in done.stderr


def test_postgres_variables_of_the_user_change_nothing(home: Home) -> None:
    done = home.run("db", "upgrade", PGPORT="6543", PGDATA="/nowhere", PGHOST="example.org", PGUSER="someone")
    assert done.returncode == 0, done.stderr


def test_a_forked_child_keeps_the_server_for_itself(home: Home) -> None:
    program = (
        "import os, sys, time; from pathlib import Path; from guichets.database import embedded\n"
        "print(embedded.join(Path(os.environ['GUICHETS_HOME'])), flush=True)\n"
        "pid = os.fork()\n"
        "if pid: print(pid, flush=True); os._exit(0)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [*GUICHETS[:2], program], env=home.environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        dsn, child = parent.stdout.readline().strip(), int(parent.stdout.readline())
        parent.wait(timeout=60)
        assert _answers(dsn)
        os.kill(child, signal.SIGKILL)
    home.wait_until_stopped()


def test_a_moved_home_is_still_stopped_and_the_new_one_in_its_place_is_left_alone(
    make_home: Callable[[str], Home],
) -> None:
    home, moved = make_home("var"), make_home("moved")
    holder, _ = home.hold()
    home.path.rename(moved.path)
    home.hold()
    end(holder, signal.SIGKILL)
    moved.wait_until_stopped()
    _, dsn = home.hold()  # PostgreSQL removes its socket by its old name: the new one's
    assert _answers(dsn)
