"""All benches, one after the other."""

from tests.bench import crawl

crawl.main()
