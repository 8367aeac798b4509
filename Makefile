# make figures   the default workflow: every study at its quick size
# make paper     the same at the published sizes
# make test      what CI runs after `make lint`
# make docs      the documentation as a site in docs/_site, which needs no network to be read
# make mutants   small changes of the code, drawn at random, and which of them no test sees
# make clean     removes what the workflow made, and keeps .venv

PYTHON ?= python3
CORES ?= all
COUNT ?= 40
SEED ?= $(shell date +%F)
SHELL := bash

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DOCS := .venv-docs
# what hardly any job imports: compiled when one does
SELDOM := tests?|testing/_internal|_inductor|_dynamo|onnx|distributed|torch/ao|torch/_vendor|torchgen|numba/cuda|distutils|signal
SELDOM := $(SELDOM)|sklearn/(ensemble|linear_model|metrics|model_selection|cluster|decomposition|neighbors|manifold|tree|svm)
SELDOM := $(SELDOM)|sqlalchemy/(dialects|testing|ext)|pydantic/v1|fsspec|git|idna|examples|sympy|mpmath|networkx|pip|setuptools
SELDOM := $(SELDOM)|fontTools|lexers|hypothesis|_pytest|black
# the tests and Snakemake's rules call commands of .venv by name
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: figures paper test lint docs mutants clean venv
.DEFAULT_GOAL := figures

figures: $(READY)
	@$(BIN)/nnflow run --cores $(CORES)

paper: $(READY)
	@$(BIN)/nnflow run --cores $(CORES) --config scale=paper

test: $(READY)
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint

docs: $(READY) $(DOCS)/ready
	@$(BIN)/python -m nnflow.checks.site
	@$(DOCS)/bin/sphinx-build -q -W --keep-going -c docs . docs/_site
	@echo "wrote docs/_site/docs/index.html"

mutants: $(READY)
	@$(BIN)/python tests/mutants.py --count $(COUNT) --seed $(SEED)

clean:
	@rm -rf docs/_site docs/generated results .snakemake .nnflow .pytest_cache .ruff_cache .hypothesis

venv: $(READY)

# made again only when the lock or the project's metadata changes; safe to interrupt
$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || \
	  { echo "nnflow: no $(PYTHON) here; name one of version 3.11 or newer: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "nnflow needs Python >= 3.11, but $(PYTHON) is older; name another: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
	  { echo "nnflow: $(PYTHON) has no venv; install it (Debian and Ubuntu: the package python3-venv)"; exit 1; }
	@echo "Setting up $(VENV), once; about a minute, and the download"
	@$(PYTHON) -m venv $(VENV)
	@# the pip that comes with Python 3.11 takes twice as long
	@$(BIN)/python -m pip install --quiet --no-compile --upgrade pip > /dev/null 2>&1 || true
	@set -o pipefail; \
	  $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
	    --no-compile -r requirements.lock 2>&1 | tee $(VENV)/install.log | \
	  awk '/^(Collecting|Processing|Requirement already)/ { printf "\r  %d packages", ++n; fflush() } \
	       /^Installing/ { printf ", installing"; fflush() } END { print "" }' || \
	  { tail -n 20 $(VENV)/install.log; echo "nnflow: pip failed; the whole log is $(VENV)/install.log"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	    --no-build-isolation -e . > $(VENV)/nnflow.log 2>&1 || { cat $(VENV)/nnflow.log; exit 1; }
	@# pip would compile on one core, and all
	@$(BIN)/python -m compileall -q -j 0 -x '/($(SELDOM))/' \
	    $(VENV)/lib > /dev/null || true
	@touch $@

# what builds the site is no part of what computes results
$(DOCS)/ready: docs/requirements.txt
	@$(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	@touch $@
