# All a fresh machine needs is Python 3.10 or later, git and make:
#   make demo    sets everything up and paints new images; ends by naming the page it wrote
#   make test    sets everything up and runs all checks but the slow tests
# Other targets: test-slow, bench, clean. `make PYTHON=python3.12 VENV=/some/folder test` works too.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow bench clean

demo: $(VENV)/.package
	$(BIN)/scoremachines demo -o demo

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pydoclint src
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 8 \
	  --cov --cov-report=term:skip-covered --cov-fail-under=90

# One after the other, because some of them measure time and memory.
test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.package
	@set -e; for script in benchmarks/*.py; do echo "$$script"; $(BIN)/python "$$script"; done

clean:
	rm -rf .venv demo build dist htmlcov .coverage* .*_cache .hypothesis src/*.egg-info

# pip is the last thing that `venv` installs: where it is missing, the environment is not complete.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

# The package in place, without and with what its checks need; again when its needs change.
$(VENV)/.package: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.package
