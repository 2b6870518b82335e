"""All benches, one after the other."""

from tests.bench import crawl, replay, schedule

crawl.main()
replay.main()
schedule.main()
