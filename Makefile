# Everything a newcomer needs: `make report` shows the demo, `make test` checks the project.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.complete
WORKERS ?= 2
export OPENBLAS_NUM_THREADS := 1
export JUPYTER_PLATFORM_DIRS := 1

.DEFAULT_GOAL := help
.PHONY: help setup report test lint notebooks lab bench lock clean

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## create the environment in .venv

$(STAMP): requirements.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found %d.%d; name one with make PYTHON=..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Creating the environment in .venv (once; about a minute) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-uv.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes --compile-bytecode --requirement requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	@echo "Compiling the funnel kernel ..."
	@$(BIN)/python -m compileall -q funnel_lib
	@$(BIN)/python -m funnel_lib.conversion
	@touch $(STAMP)

DATA := data/processed/education/.complete
MAKERS := params/education.yml $(wildcard funnel_lib/*.py funnel_lib/sample/*.py funnel_lib/collection/*.py funnel_lib/collection/sources/*.py)

$(DATA): $(STAMP) $(MAKERS)
	@$(BIN)/funnel demo
	@$(BIN)/funnel collect params/education.yml
	@touch $(DATA)

report: setup $(DATA)  ## build the demo: raw exports, tables, reports
	@$(BIN)/funnel run params/education.yml --workers $(WORKERS) || test $$? -eq 3

test: setup $(DATA)  ## everything a change must pass: ruff, types, tests, notebooks
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile

lab: setup  ## open JupyterLab on the notebooks
	@$(BIN)/jupyter lab --notebook-dir notebooks

bench: setup  ## measure speed and memory
	@$(BIN)/python -m benchmarks

lock: setup  ## renew requirements.lock from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-annotate --no-header --quiet --output-file requirements.lock
	@printf '%s\n' 'axe-playwright-python>=0.1.4' 'playwright>=1.55' | $(BIN)/uv pip compile - --universal --generate-hashes --no-annotate --no-header --quiet --output-file requirements-browser.lock --constraint requirements.lock --python-version 3.11
	@$(BIN)/uv pip compile pyproject.toml --extra collect --extra dask --extra databases --extra engines --extra notify --extra spark --extra tableau --universal --generate-hashes --no-annotate --no-header --quiet --output-file requirements-engines.lock --constraint requirements.lock

clean:  ## remove the environment, the demo's data and its reports
	@rm -rf .venv data/raw/education data/processed/education reports/education data/truth .mypy_cache .pytest_cache .ruff_cache
