"""Scrapy's settings for Guichets. Each override carries its reason.

Guichets' own settings (``GUICHETS_…``) are declared in ``guichets.configuration`` and may be given here,
by ``-s`` or, where marked, by the environment.
"""

from urllib.request import getproxies

from guichets import __version__, configuration
from guichets.items import EXPORT_FIELDS

BOT_NAME = "guichets"
SPIDER_MODULES = ["spiders"]
NEWSPIDER_MODULE = "spiders"
COMMANDS_MODULE = "guichets.crawl.commands"  # `crawl` with one-line errors and an honest exit status

# Honest identity: name, version, and where an administrator can reach us (rule 3).
USER_AGENT = f"Guichets/{__version__} (+{configuration.read('GUICHETS_CONTACT')})"

TWISTED_REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
ASYNCIO_EVENT_LOOP = "uvloop.Loop"  # the loop aiohttp is fastest on
REMOTE_CONTROL_ENABLED = False  # Scrapy opens a port that runs code by default
TELNETCONSOLE_ENABLED = False
DOWNLOAD_VERIFY_CERTIFICATES = True  # a forged préfecture is not an observation
DOWNLOAD_HANDLERS = {
    "http": "guichets.crawl.download.OnceDownloadHandler",
    "https": "guichets.crawl.download.OnceDownloadHandler",
    "ws": "guichets.crawl.websocket.WebSocketDownloadHandler",
    "wss": "guichets.crawl.websocket.WebSocketDownloadHandler",
}
DOWNLOAD_TIMEOUT = 30  # seconds
DOWNLOAD_WARNSIZE = 0
DOWNLOAD_FAIL_ON_DATALOSS = True  # half a page must not be read

# The pace of a host is ours (guichets.crawl.pacing): Scrapy forgets a delay after 60 idle seconds.
DOWNLOAD_DELAY = 0
CONCURRENT_REQUESTS_PER_DOMAIN = 1  # one connection per host
CONCURRENT_REQUESTS = 512  # the number of hosts held is the limit: GUICHETS_MAX_HOSTS
CONCURRENT_ITEMS = 4  # 100, the default, makes as many tasks for each response

RETRY_ENABLED = False  # a 429 would be retried at once
ROBOTSTXT_OBEY = False  # guichets.crawl.robots obeys, and honours Crawl-delay too
COOKIES_ENABLED = False  # each probe keeps its own jar, gone with it
REDIRECT_ENABLED = True  # for `scrapy shell`; probes follow redirects hop by hop
METAREFRESH_ENABLED = False  # a page never sends us anywhere by itself
HTTPPROXY_ENABLED = bool(getproxies())  # an institution's own, from the environment; there is no rotation

DEFAULT_REQUEST_HEADERS = {
    "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "fr",
    "Accept-Encoding": "gzip, deflate, br",  # what the archive's readers decode too; Scrapy would add zstd
}

DOWNLOADER_MIDDLEWARES = {
    "guichets.crawl.identity.IdentityMiddleware": 400,  # where Scrapy's own two would stand
    "guichets.crawl.robots.RobotsMiddleware": 850,
    "guichets.crawl.credentials.CredentialMiddleware": 890,
    "guichets.crawl.gate.GateMiddleware": 900,  # after whatever may change a request
    "guichets.crawl.pacing.PaceMiddleware": 950,  # what waits here leaves next
    "guichets.crawl.archive.ArchiveMiddleware": 970,  # nearest the network: as sent, as received
    # Each costs every request its share of time, for what no probe needs.
    "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,  # the gate knows the desk's host
    "scrapy.downloadermiddlewares.httpauth.HttpAuthMiddleware": None,
    "scrapy.downloadermiddlewares.defaultheaders.DefaultHeadersMiddleware": None,
    "scrapy.downloadermiddlewares.useragent.UserAgentMiddleware": None,
    "scrapy.downloadermiddlewares.downloadtimeout.DownloadTimeoutMiddleware": None,  # the handler knows
    "scrapy.downloadermiddlewares.stats.DownloaderStats": None,  # the pace counts requests and answers
    "scrapy.downloadermiddlewares.httpcache.HttpCacheMiddleware": None,  # a cached page is no observation
    "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
    "scrapy.downloadermiddlewares.cookies.CookiesMiddleware": None,
    "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
    "scrapy.downloadermiddlewares.redirect.MetaRefreshMiddleware": None,
}

ITEM_PIPELINES = {
    "pipelines.validate.ValidatePipeline": 100,  # first: nothing that contradicts itself goes further
    "pipelines.evidence.EvidencePipeline": 300,  # before postgres: a row must point at its proof
    "pipelines.postgres.PostgresPipeline": 500,
}

EXTENSIONS = {
    "guichets.crawl.record.CrawlRecord": 500,
    "guichets.crawl.watching.WatchPlanning": 600,
}

FEED_EXPORT_FIELDS = list(EXPORT_FIELDS)
FEED_EXPORTERS = {
    name: f"guichets.crawl.exporters.{kind}Exporter"
    for name, kind in (
        ("jsonl", "JsonLines"),
        ("jsonlines", "JsonLines"),
        ("jl", "JsonLines"),
        ("json", "Json"),
        ("csv", "Csv"),
    )
}
FEED_EXPORT_ENCODING = "utf-8"
LOG_LEVEL = "INFO"
LOG_FORMATTER = "guichets.crawl.logs.QuietLogFormatter"  # a line per observation, not per page
