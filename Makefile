# Needs python3 (3.11 or later) with its venv module, make and git. Everything else is fetched once, into .tools and .venv.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/bin/uv
PY := .venv/bin/python

# The Python of this machine, never a downloaded one.
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(PYTHON)
# Compiled once here, or every process that starts would do it again where writing bytecode is switched off.
export UV_COMPILE_BYTECODE := 1

# compose when a Docker engine with Compose answers, local processes otherwise. STACK=... overrides.
STACK ?= $(shell timeout 10 docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 && echo compose || echo local)

PACKAGES := shared_contracts shared_runtime ingestion package_service drone_scheduler delivery dead_letters local_stack fleet_simulator demo documentation

.PHONY: help demo test test-unit lint docs bench up down logs status resilience compose-test

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  make logs SERVICE=delivery LINES=200 FOLLOW=1: any of them may be left out; 10 lines of each by default."
	@echo "  STACK=local|compose chooses where demo, up, down, logs and status run (here: $(STACK)); PORT_BASE=8081 the ports."

demo: ## Start everything, fly 200 requests, check every promise, stop
	@$(MAKE) demo-$(STACK)

test: .venv/.synced ## Run the tests on a real RabbitMQ and a real PostgreSQL, under every fault
	@$(PY) -m pytest

test-unit: .venv/.synced ## Run the tests that need no server
	@$(PY) -m pytest $(wildcard */tests/unit)

FAULTLINE := PYTHONPATH=tests/resilience $(PY) -m faultline

resilience: .venv/.synced ## A short trial of every fault; SEED=7 FAULT=pause one trial; TRIALS=30 the long run
ifdef TRIALS
	@$(FAULTLINE) long --trials $(TRIALS) --each $(or $(EACH),5) --seed $(or $(SEED),1)
else ifdef SEED
	@$(FAULTLINE) run --seed $(SEED) --scenario $(or $(FAULT),mixed)
else
	@$(PY) -m pytest tests/resilience
endif

lint: .venv/.synced ## Check style, types and the borders between packages
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy $(addprefix -p ,$(PACKAGES) faultline peers) -m run -m report -m load
	@.venv/bin/lint-imports
	@$(PY) -m shared_contracts.generate --check
	@$(PY) -m documentation --check

docs: .venv/.synced ## Write the documents that are made from the code
	@$(PY) -m shared_contracts.generate
	@$(PY) -m documentation

bench: .venv/.benchmarks-synced ## Measure the suite beside its peers; OPTIONS="--only suite floor --scenarios latency", or --help
	@PYTHONPATH=tests/benchmarks $(PY) -m run $(OPTIONS)

up: ## Start the suite in the background
	@$(MAKE) up-$(STACK)

down: ## Stop it
	@$(MAKE) down-$(STACK)

logs: ## Show the ends of the logs
	@$(MAKE) logs-$(STACK)

status: ## Show what runs, where, and whether it is ready
	@$(MAKE) status-$(STACK)

compose-test: .venv/.synced ## Build the containers, check what they promise, remove them again
	@$(PY) -m pytest infra/tests/compose/check_stack.py infra/tests/compose/check_servers.py

.PHONY: demo-local up-local down-local logs-local status-local demo-compose up-compose down-compose logs-compose status-compose

# No shell in between, which would keep a `kill` of make from the demo.
demo-local: export STACK := local
demo-local: .venv/.synced
	@$(PY) -m demo

up-local: .venv/.synced
	@$(PY) -m local_stack up

down-local: .venv/.synced
	@$(PY) -m local_stack down

logs-local: .venv/.synced
	@$(PY) -m local_stack logs $(if $(LINES),--lines '$(LINES)') $(if $(FOLLOW),--follow) -- $(SERVICE)

status-local: .venv/.synced
	@$(PY) -m local_stack status

demo-compose:
	@infra/docker/demo.sh

up-compose:
	@infra/docker/up.sh

down-compose:
	@docker compose --profile demo down

logs-compose:
	@infra/docker/logs.sh $(SERVICE)

status-compose:
	@docker compose --profile demo ps

# The two stamps make a second run work without the network.
.tools/.uv-$(UV_VERSION):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is missing or older than 3.11; choose another with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || $(MAKE) install-venv
	@rm -rf .tools
# What they complain of is kept to the end, and from those who press Ctrl-C.
	@complaints=$$(mktemp); trap 'rm -f "$$complaints"' EXIT; trap 'exit 130' INT TERM; \
	{ $(PYTHON) -m venv .tools && \
		.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); \
	} 2>"$$complaints" || { cat "$$complaints" >&2; exit 1; }
	@touch $@

# Debian keeps the venv module in a package of its own.
.PHONY: install-venv
install-venv:
	@[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { \
		echo "$(PYTHON) has no venv module; install it with: sudo apt-get install python3-venv" >&2; exit 1; }
	@apt-get update -qq
	@DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv

.venv/.synced: uv.lock pyproject.toml $(wildcard */pyproject.toml) | .tools/.uv-$(UV_VERSION)
	@$(UV) sync --frozen --quiet
	@touch $@

# The peers are installed beside the suite; the next change of the lock file takes them out again.
.venv/.benchmarks-synced: .venv/.synced
	@$(UV) sync --frozen --quiet --group benchmarks
	@touch $@
