# make demo    set up and train on real handwritten digits
# make test    the tests that run on every change
# make help    the rest

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# Options for pytest, for example: make test PYTEST_OPTIONS="-k split"
PYTEST_OPTIONS ?=
# Worker processes of the tests. WORKERS=0 runs them in one process; each worker imports TensorFlow once.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo setup test test-all bench check format keras-names lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## create .venv with the pinned dependencies
demo: $(STAMP) ## train configs/digits.yaml: real handwritten digits, to the end
	$(BIN)/dltool train configs/digits.yaml

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(PYTEST_OPTIONS)

test-all: $(STAMP) ## run the tests, slow ones too
	$(BIN)/python -m pytest -n $(WORKERS) --hypothesis-profile exploring $(PYTEST_OPTIONS)

bench: $(STAMP) ## measure dltool against the scripts one would write, in two hours
	$(BIN)/python -m benchmarks

check: $(STAMP) ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## format the code and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

keras-names: $(STAMP) ## write the table of Keras's names again, from the installed Keras
	$(BIN)/python -m scripts.keras_names.generate

lock: ## resolve requirements.lock anew (needs uv on the path)
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev --no-annotate --no-emit-index-url \
	  --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean: ## remove .venv and caches; runs stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted installation is taken up again.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "dltool needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q src
	@touch $@
