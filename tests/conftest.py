"""Fixtures live in files by theme; this one only names them."""

pytest_plugins = [
    "tests.database_fixtures",
    "tests.sandbox_fixtures",
    "tests.crawl_fixtures",
    "tests.week_fixtures",
    "tests.scrapyd_fixtures",
    "tests.proof_fixtures",
    "tests.authority_fixtures",
]
