PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
BIN = $(VENV)/bin

.PHONY: help demo test lint

help:
	@echo "make demo   install into $(VENV) and open the page on http://127.0.0.1:7860 (PORT=... to change)"
	@echo "make test   install what the tests need and run all of them"
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
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
