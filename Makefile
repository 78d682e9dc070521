# Two commands do everything: `make demo` and `make test`. Both install first, once.
# Needs Python 3.11 or newer and make. Uses uv where it is on the PATH, else venv and pip.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
ARGS ?=
DEMO_OUT := $(if $(findstring --quick,$(ARGS)),demo-out-quick,demo-out)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.vtk-installed
CODE := vtk tui tests docs/make_pictures.py docs/make_recording.py

.PHONY: help install demo test thorough reliability check format clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED)  ## install vtk and its tools into $(VENV)

demo: $(INSTALLED)  ## run the whole method on this machine's CPU; ARGS="--quick" for two minutes
	$(BIN)/vtk demo --out $(DEMO_OUT) $(ARGS)

# A process a core, at most four (each loads torch); whole files, whole processes of vtk first.
test: $(INSTALLED)  ## run every test that needs no GPU
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -q -m "not gpu and not thorough" \
	  -n auto --maxprocesses=4 --dist loadfile --no-loadscope-reorder --durations=10 $(ARGS)

thorough: $(INSTALLED)  ## run the slow tests with further settings (several processes; ten minutes)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -q -m "thorough and not gpu" --durations=10 $(ARGS)

reliability: $(INSTALLED)  ## measure what a run survives into docs/reliability.md; ARGS="T4 --share 0.1" for less
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m tests.reliability $(ARGS)

check: $(INSTALLED)  ## format, lint, types and import rules
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports

format: $(INSTALLED)  ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix --exit-zero $(CODE)
	$(BIN)/ruff format $(CODE)

clean:  ## remove the environment and everything that was built or cached
	rm -rf $(VENV) dist build demo-out demo-out-quick .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted installation is repeated.
$(INSTALLED): pyproject.toml
	@rm -f $@
	@if command -v uv >/dev/null 2>&1; then \
	  echo "Installing with uv into $(VENV) ..."; \
	  [ -x $(BIN)/python ] || uv venv --quiet --python '>=3.11' $(VENV); \
	  uv pip install --quiet --python $(BIN)/python --editable '.[dev]'; \
	else \
	  python=""; \
	  for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      python=$$name; break; \
	    fi; \
	  done; \
	  [ -n "$$python" ] || { echo "vtk needs Python 3.11 or newer on the PATH" >&2; exit 3; }; \
	  echo "Installing with pip into $(VENV); PyTorch is large, so this takes some minutes ..."; \
	  [ -x $(BIN)/python ] || "$$python" -m venv $(VENV); \
	  $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
	  $(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'; \
	fi
	@touch $@
