"""The Scrapy components that are neither spiders nor pipelines: gate, pace, robots.txt, downloads."""
