# make demo    set up and train on real handwritten digits
# make test    the tests that run on every change
# make help    the rest

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# What users need is installed, and what developers need, which includes it.
USER   := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev

# Options for pytest, for example: make test PYTEST_OPTIONS="-k split"
PYTEST_OPTIONS ?=
# Worker processes of the tests. WORKERS=0 runs them in one process; each worker imports TensorFlow once.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo setup test test-all bench check docs format keras-names lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(USER) ## train configs/digits.yaml: real handwritten digits, to the end
	@echo "== Training: dltool train configs/digits.yaml"
	@$(BIN)/dltool train configs/digits.yaml

setup: $(DEV) ## create .venv with the pinned dependencies, developers' tools too

test: $(DEV) ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" --durations 20 $(PYTEST_OPTIONS)

test-all: $(DEV) ## run the tests, slow ones too
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --hypothesis-profile exploring $(PYTEST_OPTIONS)

bench: $(DEV) ## measure dltool against the scripts one would write, in two hours
	$(BIN)/python -m benchmarks

check: $(DEV) ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DEV) ## build the documentation into site/; an outdated page or a warning is an error
	$(BIN)/python scripts/reference.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(DEV) ## format the code and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

keras-names: $(DEV) ## write the table of Keras's names again, from the installed Keras
	$(BIN)/python -m scripts.keras_names.generate

UV_COMPILE := uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-emit-index-url --custom-compile-command "make lock" --group build pyproject.toml
lock: ## resolve all locks anew (needs uv on the path)
	$(UV_COMPILE) --output-file requirements.lock
	$(UV_COMPILE) --extra dev --extra docs --constraint requirements.lock --output-file requirements-dev.lock
	$(UV_COMPILE) --extra serve --constraint requirements-dev.lock --output-file requirements-serve.lock

clean: ## remove .venv, caches and what was built; runs stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist site
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call install,LOCK): the virtual environment, the pinned packages, dltool itself. pip takes a package that it was
# unpacking when it was interrupted for installed: records without the file that it writes last are removed.
define install
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
	  echo "dltool needs Python 3.11, 3.12 or 3.13, as TensorFlow does; $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1)." \
	    "Try: make PYTHON=python3.12" >&2; exit 1; }
	@echo "== 1/3 Virtual environment: $(VENV), with $$($(PYTHON) --version)"
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@for record in $(VENV)/lib/python*/site-packages/*.dist-info; do test -e "$$record/INSTALLER" || rm -rf "$$record"; done
	@echo "== 2/3 Packages of $(1): about 700 MB to download, mostly TensorFlow, and 3 GB on disk"
	@echo "   This takes 2 to 10 minutes. pip is silent for a minute at its end, while it unpacks."
	@$(PIP) install --require-hashes -r $(1)
	@echo "== 3/3 dltool itself, editable: changes in src are in force at once"
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q src
	@echo "== Installed: $(BIN)/dltool"
endef

# A stamp is written last, so an interrupted installation is taken up again.
$(USER): requirements.lock pyproject.toml
	$(call install,requirements.lock)
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml
	$(call install,requirements-dev.lock)
	@touch $(USER) $@
