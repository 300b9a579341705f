# Everything a developer does. `make run` and `make test` make their own environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
STORE :=
ifeq ($(STORE),emulator)
# Quoted for the shell: a default database's name has parentheses.
BESIDE := STORE_URL='firestore://memory-ops-local/(default)' PYTHONPATH=functions:tests $(BIN)/python -m support.emulator --
else ifneq ($(STORE),)
$(error STORE=emulator or nothing: other stores are named by STORE_URL)
endif
SHARED := $(wildcard ../shared)
export PYTHONPATH := functions
ifneq ($(SHARED),)
export MEMORY_OPS_DIALOGUES := $(abspath $(SHARED)/data)
endif

.PHONY: run test test-fast test-coverage lint format bench eval reset clean

run: $(VENV)/.runs
	$(BESIDE) $(BIN)/python functions/serve.py --port $(PORT)

test: lint
	$(BIN)/python -m pytest

test-fast: $(VENV)/.tests
	$(BIN)/python -m pytest -m "not service"

test-coverage: $(VENV)/.tests
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage report --skip-covered

lint: $(VENV)/.tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.tests
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.tests
	$(BIN)/python tests/benchmarks/latency.py
	$(BIN)/python tests/benchmarks/storm.py
	$(BIN)/python tests/benchmarks/operations.py
	$(BIN)/python tests/benchmarks/sweep.py --quick

eval: $(VENV)/.tests
	$(BIN)/python tests/benchmarks/recall.py

reset: $(VENV)/.runs
	$(BIN)/python functions/serve.py --reset

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis htmlcov .coverage

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runs: $(VENV)/bin/python functions/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r functions/requirements.txt
	$(BIN)/python -m compileall -q functions
	touch $@

$(VENV)/.tests: $(VENV)/.runs tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@
