# Everything a fresh machine needs: Python 3.11 or newer and make.
#
#   make explain      what did the shipped shortcut model learn? prints the report, writes report.html
#   make quick        the tests that take under a minute together; begin with these
#   make test         the whole suite
#   make test-browser the notebook views in chromium and JupyterLab; screenshots in test-output/
#   make docs         the documentation, in docs/_build/html
#   make tutorials    runs the tutorials and stores their outputs
#   make test-hooked  the backends' contract once more, against TransformerLens 3.9
#   make lint types   ruff, banned words, mypy --strict

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
HOOKED := .venv-hooked
MODEL ?= binary-successor-natural-depthcap3
WORKERS ?= 2

# Small tensors: more threads than cores, or threads that spin while they wait, cost more than they give.
export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM ?= false
# Nothing here needs a network once it is installed; a library that asks should fail, not hang.
export HF_HUB_OFFLINE ?= 1
export WANDB_MODE ?= disabled

.PHONY: explain quick test test-browser docs tutorials test-hooked lint types format readme wheel clean help
.DEFAULT_GOAL := help

help:
	@sed -n '3,10s/^# *//p' Makefile

explain: $(VENV)/.stamp
	$(VENV)/bin/recinterp explain $(MODEL) --html report.html

# No training, no explanation of a model, no browser, no proof assistant, no notebook.
quick: export OMP_NUM_THREADS := 1
quick: $(VENV)/.stamp
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadgroup -q --ignore tests/docs \
	  -m "not (slow or long or backend or browser or coqc)" $(ARGS)

test: export OMP_NUM_THREADS := 1
test: $(VENV)/.stamp
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadgroup -m "not (browser or long)" $(ARGS)

# By themselves: what a click takes is measured, and a second worker would be measured with it.
test-browser: export OMP_NUM_THREADS := 1
test-browser: $(VENV)/.stamp
	$(VENV)/bin/python -m pytest -m browser tests/browser $(ARGS)

docs: $(VENV)/.stamp
	$(VENV)/bin/python -m sphinx -b html -W --keep-going -q docs docs/_build/html

test-hooked: export OMP_NUM_THREADS := 1
test-hooked: $(HOOKED)/.stamp
	$(HOOKED)/bin/python -m pytest -m backend $(ARGS)

lint: $(VENV)/.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/python scripts/lint_words.py recinterp scripts benchmarks tests docs/*.md README.md

format: $(VENV)/.stamp
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

types: $(VENV)/.stamp
	$(VENV)/bin/mypy

tutorials: $(VENV)/.stamp
	$(VENV)/bin/python scripts/tutorials.py $(ARGS)

readme: $(VENV)/.stamp
	$(VENV)/bin/python scripts/readme.py

wheel: $(VENV)/.stamp
	$(VENV)/bin/hatchling build -t wheel

# torch comes first and by exact version: resolved together with the rest, a range of it may be
# taken from another build of torch, which is gigabytes larger. The stamp makes a second call free.
$(VENV)/.stamp: pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing the pinned set into $(VENV): some minutes the first time'
	$(VENV)/bin/python -m pip install -q torch==2.13.0
	$(VENV)/bin/python -m pip install -q -c constraints.txt -e '.[dev,notebook]'
	@touch $@

$(HOOKED)/.stamp: pyproject.toml constraints-hooked.txt
	test -x $(HOOKED)/bin/python || $(PYTHON) -m venv $(HOOKED)
	@echo 'installing the pinned set into $(HOOKED): some minutes the first time'
	$(HOOKED)/bin/python -m pip install -q torch==2.13.0
	$(HOOKED)/bin/python -m pip install -q -c constraints-hooked.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf dist build docs/_build test-output report.html .pytest_cache .mypy_cache .ruff_cache .hypothesis
