"""All benches, one after the other."""

from tests.bench import archive, crawl, replay, schedule

crawl.main()
archive.main()
replay.main()
schedule.main()
