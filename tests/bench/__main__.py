"""All benches, one after the other."""

from tests.bench import (
    archive,
    browser,
    constat,
    crawl,
    monitoring,
    planner,
    reading,
    replay,
    schedule,
    site,
    statistics,
    watch,
)

crawl.main()
archive.main()
reading.main()
replay.main()
schedule.main()
planner.main()
monitoring.main()
statistics.main()
site.main()
browser.main()
constat.main()
watch.main()
