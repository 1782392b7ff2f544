# Two commands for a clean clone: `make quickstart` (the main job on an embedded input) and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# By file, in the order of tests/conftest.py: fixtures that run the main job are made once. Two, for tests start workers
# of their own.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: quickstart test test-slow check clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

quickstart: $(VENV)/.installed
	$(BIN)/gristmill sample-data quickstart/input
	$(BIN)/gristmill run configs/quickstart.yaml --out quickstart/run

test: $(VENV)/.installed-dev
	$(PYTEST) -m 'not slow'

test-slow: $(VENV)/.installed-dev
	$(PYTEST) -m slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	mkdir -p build/checked && ln -sfn ../../pipeline ../../stages ../../classifiers build/checked/
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) quickstart
