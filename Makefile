# One door: CI and people use the same targets.
#   make demo    environment, then a real ladder, its forecast and the truth (minutes)
#   make test    environment, then every test
#   make check   format, lint, types, import contract
#   make bench   benchmarks: accuracy beside time
# Options for pip: make demo PIP_ARGS="--index-url ..."

PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check bench stress format clean python

demo: $(READY)
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

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# torch first: a later install would otherwise choose its own build of it
$(READY): pyproject.toml constraints.txt | python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_ARGS) --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install $(PIP_ARGS) --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "scaling_callback needs Python 3.11 or newer; $(PYTHON) is older: make PYTHON=python3.11"; exit 1; }

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .ruff_cache .hypothesis
