# make demo     a whole round against imaginary préfectures, from nothing to the table
# make test     everything that must hold: style, types, tests
# make bench    speed and memory, as ratios taken in one run
# make scrapyd  a node: Scrapyd on 127.0.0.1:6800, with a password made at the first start
# make monitor  database, exporter, Prometheus on this machine; Grafana where there is one
# make egg      dist/guichets.egg, for scrapyd-deploy

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install browser prometheus hub monitor demo test check lint bench scrapyd egg lock clean

help:
	@grep '^# make' Makefile | sed 's/^# //'

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Guichets needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (once; a minute or two)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch .venv/installed

demo: install
	@$(MAKE) --no-print-directory browser || echo "The demonstration leaves out what needs a browser."
	@$(BIN)/guichets demo

# Pages of some families, and pictures of archived ones, need a Chromium: the system's, else Playwright's, else the distribution's package.
browser: install
	@$(BIN)/python -c 'from guichets.browser import find_browser; find_browser()' 2>/dev/null \
		|| { echo "No Chromium found: installing one…"; $(BIN)/playwright install --only-shell chromium >/dev/null 2>&1; } \
		|| { apt-get update -qq && { apt-get install -qq -y chromium-headless-shell >/dev/null 2>&1 \
			|| apt-get install -qq -y chromium >/dev/null; }; } \
		|| { echo "Install Chromium, or set GUICHETS_BROWSER to the path of one."; exit 2; }

# Rules, alerts and panels are tested against a real Prometheus and Alertmanager: the system's, else its packages.
prometheus: install
	@$(BIN)/python -m monitoring.tools 2>/dev/null || { echo "No Prometheus found: fetching one…"; \
		mkdir -p .venv/monitoring && cd .venv/monitoring \
		&& { apt-get download -qq prometheus prometheus-alertmanager \
			|| { apt-get update -qq && apt-get download -qq prometheus prometheus-alertmanager; }; } >/dev/null 2>&1 \
		&& for package in *.deb; do dpkg -x "$$package" . || exit 1; done; rm -f *.deb; \
		test ! -w /usr/share || cp -r usr/share/prometheus /usr/share/; }
	@$(BIN)/python -m monitoring.tools \
		|| { echo "Install the packages prometheus and prometheus-alertmanager."; exit 2; }

# The State's own hub of town halls, a peer that nobody of this project wrote: old pins, an environment of its own.
hub: .venv/hub/installed

.venv/hub/installed: tests/hub/requirements.lock | .venv/installed
	@echo "Installing the hub of town halls into .venv/hub (once; a minute)…"
	@$(PYTHON) -m venv .venv/hub
	@.venv/hub/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r tests/hub/requirements.lock
	@touch .venv/hub/installed

check test: install browser prometheus hub
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

bench: install browser
	$(BIN)/python -m tests.bench

monitor: install prometheus
	@$(BIN)/python -m monitoring.local

scrapyd: install
	@cd deploy && GUICHETS_HOME=$(abspath $(or $(GUICHETS_HOME),var)) exec ../$(BIN)/scrapyd --pidfile=

egg: install
	@$(BIN)/python deploy/egg.py dist/guichets.egg

lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml deploy/requirements.in --constraint requirements.lock --universal \
		--python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links --quiet -o deploy/requirements.lock
	$(BIN)/uv pip compile tests/hub/requirements.in --no-deps --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet \
		-o tests/hub/requirements.lock

clean:
	rm -rf .venv var .mypy_cache .ruff_cache .pytest_cache build dist
