"""All benches, one after the other."""

from tests.bench import crawl, replay

crawl.main()
replay.main()
