# Two commands on a fresh machine: `make demo` and `make test`. Both build .venv first, when it is missing or outdated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test pages lint speed bench docs clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found %d.%d; name one with make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,coco,timm]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/wsss run demo
	$(BIN)/wsss leaderboard demo --out tables

# Two processes halve the time; tests of one file stay together, for they share what they made.
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

pages: $(STAMP)
	$(BIN)/python -m pytest -m 'browser or latex' tests/leaderboard

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What each one promises: speed/README.md.
SPEED := startup planning scoring table cam guided "crf speed" training class_conditional bilevel afa irn tree seam
speed: $(STAMP)
	@for script in $(SPEED); do echo "== $$script"; $(BIN)/python -m speed.$$script || exit 1; done

bench: speed  # its name in 0.1; it goes with the next release

docs: .venv-docs/.installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict --site-dir site

.venv-docs/.installed: constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt mkdocs mkdocs-material 'mkdocstrings[python]'
	@touch $@

# Records of runs and tables stay: days of computing may lie in them.
clean:
	rm -rf $(VENV) .venv-docs site
