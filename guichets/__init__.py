"""Guichets: an open observatory of appointment desks in French préfectures."""

__version__ = "0.1.0"
