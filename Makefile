# Every target sets up what it needs: a virtual environment in .venv, pinned by constraints.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := PYTHONPATH=tests $(BIN)

.PHONY: demo test test-all lint notebooks bench accuracy clean

demo: $(READY)
	$(BIN)/snnmap demo -o build/demo

test: lint
	$(BIN)/pytest -n 2 --dist worksteal -m "not nightly"

test-all: lint
	$(BIN)/pytest -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff format --check snnmap tests benchmarks notebooks
	$(BIN)/ruff check snnmap tests benchmarks notebooks
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: $(READY)
	$(BIN)/python notebooks/_execute.py

bench: $(READY)
	$(BENCH)/python benchmarks/simulator.py
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	$(BENCH)/python benchmarks/training.py

accuracy: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	$(BENCH)/python benchmarks/accuracy.py --readme

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@
