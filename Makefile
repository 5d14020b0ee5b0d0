# One door: CI and people use the same targets.
#   make demo    environment, then a real ladder, its forecast and the truth (minutes)
#   make test    environment, then every test
#   make check   format, lint, types, import contract
#   make bench   benchmarks: accuracy beside time, then make accuracy
#   make accuracy   what forecasts of measured ladders miss by, written to docs/accuracy.md (half an hour)
#   make docs    the documentation, as a site in docs/_build
#   make coverage   how often intervals hold, written to docs/coverage.md (half an hour)
#   make studies    two published studies on the tables at hand: docs/studies, or runs/studies without all tables (minutes)
# Options for pip: make demo PIP_ARGS="--index-url ..."

PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UNFINISHED := $(VENV)/.unfinished

.PHONY: demo test check bench docs accuracy coverage studies stress format clean python

# caches that libraries choose while they are imported: everything of the demo stays in its folder
demo: $(READY)
	MPLCONFIGDIR=runs/demo/cache/matplotlib TORCHINDUCTOR_CACHE_DIR=runs/demo/cache/torch \
		$(BIN)/python examples/tiny_ladder.py

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not stress"

stress: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

bench: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fit.py
	$(MAKE) accuracy

accuracy: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/accuracy.py --write docs/accuracy.md

coverage: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/coverage.py --write docs/coverage.md

# one thread a process: the scripts themselves share their work among two processes
studies: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python examples/studies/misfitting.py
	OMP_NUM_THREADS=1 $(BIN)/python examples/studies/hitchhiker.py

docs: $(READY)
	$(BIN)/sphinx-build -W --keep-going -n -q -b html docs docs/_build

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What an installation that failed or was interrupted has left is made anew: it may belong to another Python.
# torch first: a later install would otherwise choose its own build of it
$(READY): pyproject.toml constraints.txt | python
	@test ! -e $(UNFINISHED) || rm -rf $(VENV)
	@mkdir -p $(VENV) && rm -f $(READY) && touch $(UNFINISHED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_ARGS) --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install $(PIP_ARGS) --quiet --constraint constraints.txt --editable '.[dev]'
	@mv $(UNFINISHED) $(READY)

# Debian packages venv without ensurepip, which fails only when half of the environment is there
PROBE := import sys; sys.version_info >= (3, 11) or sys.exit(3); import venv, ensurepip
PACKAGE := import sys; print("python%d.%d-venv" % sys.version_info[:2])

# Expanded when the recipe runs: what keeps PYTHON from making the environment, or nothing.
problem = $(shell $(PYTHON) -c '$(PROBE)' >/dev/null 2>&1; case $$? in (0) ;; \
	(3) echo "PYTHON=$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12" ;; \
	(1) echo "PYTHON=$(PYTHON) lacks venv or ensurepip; install them (Debian, Ubuntu: apt install \
		$$($(PYTHON) -c '$(PACKAGE)')) or name another: make PYTHON=python3.12" ;; \
	(*) echo "PYTHON=$(PYTHON) cannot be run; install Python 3.11 or newer, or name one: make PYTHON=python3.12" ;; \
	esac)

python:
	@: $(if $(problem),$(error $(problem)))

clean:
	rm -rf $(VENV) runs/demo docs/_build build *.egg-info .pytest_cache .ruff_cache .hypothesis
