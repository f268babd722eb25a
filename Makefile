# Every target makes what it needs: a fresh clone with Python 3.11, git and make is enough.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

.PHONY: help setup demo audit test long quick lint format wheel docs bench bench-coverage bench-storage reproduce clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: .venv/ready  ## Make .venv and install qtaml with pinned dependencies

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	# Alone: the torchvision that it asks for has no CPU build on PyPI, and breaks transformers beside a CPU torch.
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt timm
	touch $@

demo: setup  ## Train a network, store it in a leaking memory, compensate it: table and picture
	$(BIN)/qtaml demo --out out/demo

lint: setup  ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## Style, types, doctests and tests (under 8 minutes on two cores)
	# The same examples of laws in every run; `make quick` draws new ones.
	$(PYTEST) -m "not long" --hypothesis-profile=ci

long: setup  ## Tests that kill clusters, run every tutorial and every experiment (about 8 minutes)
	$(PYTEST) -m long

quick: setup  ## Style, doctests and all tests but the slow ones, while you write (under 90 seconds)
	$(BIN)/ruff check .
	$(PYTEST) -m "not slow and not long"

format: setup  ## Rewrite the code in the one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: setup  ## Build dist/qtaml-*.whl, look into it, and use it in an environment of its own (about two minutes)
	$(BIN)/python -m tools.check_wheel

docs: setup  ## Build the documentation site into out/site, strictly: a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: setup  ## Time everything that has to be fast next to references: results/bench.json, docs/performance.md
	$(BIN)/python -m benchmarks

bench-coverage: setup  ## Simulate how often intervals hold the truth: results/coverage.json, docs/coverage.md
	$(BIN)/python -m benchmarks.coverage

bench-storage: setup  ## Compare the cells that a network needs, method by method
	$(BIN)/python -m reproduction storage near_limit

reproduce: setup  ## Compute all tables and figures of the paper anew, into results/ (20 to 40 minutes)
	$(BIN)/python -m reproduction --report docs/reproduction.md

audit: setup  ## Ask PyPI whether a pinned dependency has a known vulnerability (needs the network)
	test -x .venv-audit/bin/pip-audit || \
		($(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip install --quiet pip-audit)
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > .venv-audit/versions.txt
	.venv-audit/bin/pip-audit --strict --requirement .venv-audit/versions.txt --no-deps --disable-pip || \
		(echo "make audit: a dependency has a known vulnerability, or PyPI could not be asked; see above" >&2; exit 1)

clean:  ## Remove .venv and everything made by these targets
	rm -rf .venv .venv-audit .venv-peers out .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
