"""Metrics, dashboards and alert rules over the database."""
