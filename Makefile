# All a fresh machine needs is Python 3.10 or later, git and make:
#   make demo    sets everything up and paints new images; ends by naming the page it wrote
#   make test    sets everything up and runs all checks but the slow tests
# Other targets: test-slow, test-all, sanitize, bench, wheel, clean. `make PYTHON=python3.12 VENV=/some/folder test` works too.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
PARALLEL := -n auto --maxprocesses 8
# Options that measure coverage, as .ci/run gives them.
COVERAGE ?=
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow test-all bench sanitize wheel clean

demo: $(VENV)/.package
	$(BIN)/scoremachines demo -o demo

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pydoclint src
	$(PYTEST) -m "not slow" $(PARALLEL) $(COVERAGE)

# Those that measure time come last, one after the other.
test-slow: $(VENV)/.dev
	$(PYTEST) -m "slow and not alone and not exhaustive" $(PARALLEL)
	$(BIN)/python -m pytest -m alone

# What goes through every machine, option and argument, of which the other tests take a share.
test-all: test test-slow
	$(PYTEST) -m exhaustive $(PARALLEL)

bench: $(VENV)/.package
	$(BIN)/scoremachines bench --resume -o bench
	$(BIN)/python benchmarks/threads.py

# The native part under the address and undefined-behaviour sanitizers, and for NEON.
sanitize:
	$(MAKE) --no-print-directory -j "$$(getconf _NPROCESSORS_ONLN)" -C native/tests check

# Source archive, a wheel made of nothing but it, and the wheel tried in an environment of its own.
wheel: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python tests/support/try_wheel.py dist

clean:
	rm -rf .venv demo bench build dist htmlcov .coverage* .*_cache .hypothesis src/*.egg-info \
	  src/scoremachines/engines/native/_native.*

# pip is the last thing that `venv` installs: where it is missing, the environment is not complete.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

# The native part in a step of its own, for pip shows nothing of what it compiles: files in parallel,
# as many as there are cores, or as MAX_JOBS has it. pip then finds it up to date.
$(VENV)/.native: setup.py $(wildcard native/*.?pp) | $(BIN)/pip
	$(INSTALL) --quiet 'setuptools>=77' 'pybind11>=2.13'
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

# The package in place, without and with what its checks need; again when its needs or its native
# part change.
NEEDS := pyproject.toml constraints.txt $(VENV)/.native

$(VENV)/.package: $(NEEDS)
	$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(NEEDS)
	$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.package
