# Every target sets up what it needs: a virtual environment in .venv, pinned by constraints.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all lint bench clean

demo: $(READY)
	$(BIN)/snnmap demo -o build/demo

test: lint
	$(BIN)/pytest -n 2 --dist worksteal -m "not nightly"

test-all: lint
	$(BIN)/pytest -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff format --check snnmap tests benchmarks
	$(BIN)/ruff check snnmap tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	for file in benchmarks/*.py; do PYTHONPATH=tests $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@
