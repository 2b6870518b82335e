"""The public site: static pages, French first, made of what may be published and of nothing else."""

from guichets.site.build import Built, Site, build_site
from guichets.site.replies import Reply, read_replies

__all__ = ["Built", "Reply", "Site", "build_site", "read_replies"]
