"""Reads what the exporter tells, as Prometheus does."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


class Scrape:
    """The samples of one scrape."""

    def __init__(self, page: bytes) -> None:
        self.samples: dict[tuple[str, Labels], float] = {}
        self.types: dict[str, str] = {}
        self.help: dict[str, str] = {}
        for family in text_string_to_metric_families(page.decode()):
            self.types[family.name], self.help[family.name] = family.type, family.documentation
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples, f"{key} is told twice"
                self.samples[key] = sample.value

    def __getitem__(self, name: str) -> float:
        """The value of a metric without labels."""
        return self.samples[name, frozenset()]

    def get(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, frozenset(labels.items())))

    def of(self, name: str) -> Mapping[Labels, float]:
        return {labels: value for (found, labels), value in self.samples.items() if found == name}

    def total(self, name: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(value for found, value in self.of(name).items() if wanted <= found)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.samples}
