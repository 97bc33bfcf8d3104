PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
BIN = $(VENV)/bin
LOWEST = .venv-lowest
JOBS ?= 2
PYTEST = python -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder

.PHONY: help demo test test-new-examples test-lowest test-mutations lint

help:
	@echo "make demo   install into $(VENV) and open the page on http://127.0.0.1:7860 (PORT=... to change)"
	@echo "make test   install what the tests need and run all of them, in 2 processes (JOBS=... to change)"
	@echo "make test-new-examples   the same, with examples of Hypothesis that are new each time"
	@echo "make test-lowest         all but the browser's, with the lowest version of every requirement, in $(LOWEST);"
	@echo "                         Python 3.10 to 3.12"
	@echo "make test-mutations      break a line at a time and see a test fail; many minutes"
	@echo "make lint   ruff"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install $(PIP_ARGS) -r requirements.txt
	@touch $@

$(VENV)/.test: requirements.txt requirements-dev.txt | $(BIN)/python
	$(BIN)/python -m pip install $(PIP_ARGS) -r requirements-dev.txt
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/python app.py

test: $(VENV)/.test
	$(BIN)/$(PYTEST)

test-new-examples: $(VENV)/.test
	$(BIN)/$(PYTEST) --hypothesis-profile=new

$(LOWEST)/.test: requirements.txt requirements-dev.txt tests/lowest.py
	$(PYTHON) -m venv --clear $(LOWEST)
	$(PYTHON) tests/lowest.py > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install $(PIP_ARGS) -r requirements-dev.txt -c $(LOWEST)/lowest.txt
	@touch $@

test-lowest: $(LOWEST)/.test
	$(LOWEST)/bin/$(PYTEST) -m "not browser"

test-mutations: $(VENV)/.test
	$(BIN)/python tests/mutations.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
