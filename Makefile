# Everything here sets itself up: only Python >= 3.11 and make are needed.
PYTHON ?= python3
VENV ?= .venv
AUDIT ?= .venv-audit
DEMO ?= runs/demo
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS := -n auto --dist loadfile --no-loadscope-reorder
EXTRAS := ray,slurm,wandb,trackio,openspiel,jaxmarl
TESTS_OF_EXTRAS := tests/runs/test_engines.py tests/runs/test_tracking.py tests/experiments/test_sweep.py tests/interop tests/pages

.PHONY: help setup demo browser test test-all test-extras lint bench results dist docs audit lock clean

help:  ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(READY)  ## Make the local environment from requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "coplayer needs Python 3.11 or newer; choose one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## Train two learners to cooperate (preset demo), or go on with it; draw the figure beside the paper's
	$(BIN)/coplayer demo --out $(DEMO)

browser: setup  ## Install Playwright, and Chromium by apt-get where no such browser is installed: the tests then drive real pages
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[browser]' --no-build-isolation
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; }

test: setup lint  ## Check the style and run the tests, but for those marked as long
	$(BIN)/python -m pytest $(TESTS) -m "not long"

test-all: setup lint  ## Check the style and run all tests
	$(BIN)/python -m pytest $(TESTS)

test-extras: browser  ## Install the light extras and a browser, and run the tests that need these
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]' --no-build-isolation
	$(BIN)/python -m pytest $(TESTS) $(TESTS_OF_EXTRAS)

lint: setup  ## Check the style, and that imports point downwards
	$(BIN)/ruff check src tests examples benchmarks tools docs/conf.py
	$(BIN)/ruff format --check src tests examples benchmarks tools docs/conf.py
	$(BIN)/lint-imports

bench: setup  ## Run the benchmarks (installs PyTorch beside) and write results/benchmarks
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]' --no-build-isolation
	$(BIN)/python -m benchmarks

results: setup  ## Draw the figures and tables of results/ anew from the archived runs there
	$(BIN)/coplayer recompute results
	$(BIN)/python tools/scoreboard.py

dist: setup  ## Build the wheel and the source archive into dist/, and check both (installs build and twine beside)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build twine
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

docs: setup  ## Build the documentation site into docs/_build/html, with its notebooks (installs Sphinx beside)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]' --no-build-isolation
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --conf-dir docs . docs/_build/html
	@echo "the site: docs/_build/html/index.html"

audit:  ## Look for known vulnerabilities in requirements.lock, by pip-audit in an environment of its own (asks PyPI)
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(AUDIT)/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict --progress-spinner off

lock: setup  ## Resolve the requirements anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile requirements.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-emit-package coplayer --custom-compile-command "make lock" -o requirements.lock

clean:  ## Remove the environments; runs stay
	rm -rf $(VENV) $(AUDIT)
