"""Fixtures live in files by theme; this one only names them."""

import signal

from hypothesis import settings

# Who starts the tests in the background has them ignore Ctrl-C, and their children after them.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("guichets", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("guichets")

pytest_plugins = [
    "tests.database_fixtures",
    "tests.sandbox_fixtures",
    "tests.crawl_fixtures",
    "tests.week_fixtures",
    "tests.scrapyd_fixtures",
    "tests.proof_fixtures",
    "tests.authority_fixtures",
]
