"""The screens, as code. ``python -m monitoring.dashboards`` writes what Grafana reads; a test says when it is stale."""

from __future__ import annotations
