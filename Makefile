# make run    a swarm learns on real data and reports what it found   (ARGS="--seed 7" passes arguments)
# make test   everything that must hold: formatting, lint, types, layers, tests
# make soak   the long tests
PYTHON ?= python3
ARGS ?=
LOCK_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9

# A venv made by a Python without ensurepip (Debian without python3-venv) has no pip: then the outer one serves it.
PIP = $(shell test -x $(BIN)/pip && echo $(BIN)/python -m pip || echo $(PYTHON) -m pip --python $(BIN)/python)
INSTALL = $(PIP) install --quiet --quiet --no-input --disable-pip-version-check
PROJECT = $(INSTALL) --no-deps --no-build-isolation --editable .

# $(call step,NAME,COMMAND): a header, the command, its time.
define step
@printf '== %s\n' '$(1)'; start=$$(date +%s); $(2); status=$$?; \
	printf '   %s s\n' "$$(($$(date +%s) - start))"; exit $$status
endef

.PHONY: run test soak lock format clean venv venv-dev system
.DEFAULT_GOAL := run

run: venv
	@$(BIN)/swarm run $(ARGS)

test: system venv-dev
	$(call step,ruff format,$(BIN)/ruff format --check .)
	$(call step,ruff check,$(BIN)/ruff check .)
	$(call step,mypy,$(BIN)/mypy)
	$(call step,lint-imports,$(BIN)/lint-imports --no-logo)
	$(call step,pytest,$(BIN)/python -m pytest $(ARGS))

soak: system venv-dev
	$(call step,pytest -m soak,$(BIN)/python -m pytest -m soak --timeout 0 $(ARGS))

format: venv-dev
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

# Keeps the versions that still fit; `make lock LOCK_ARGS=--upgrade` takes the newest.
lock: $(VENV)-lock/stamp
	$(COMPILE) --extra parquet --extra jobs --group build pyproject.toml -o requirements.lock
	$(COMPILE) --extra parquet --extra jobs --group build --group dev -c requirements.lock \
		pyproject.toml -o requirements-dev.lock
	$(COMPILE) --no-deps --group panel -o requirements-panel.lock

COMPILE = @$(VENV)-lock/bin/uv pip compile --quiet --universal --fork-strategy fewest \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command 'make lock' $(LOCK_ARGS)

clean:
	rm -rf $(VENV) $(VENV)-lock build dist *.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv: $(VENV)/stamp-run
venv-dev: $(VENV)/stamp-dev

system:
	@tools/system_packages.sh chromium

$(VENV)/stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(VENV)
	@touch $@

$(VENV)/stamp-run: requirements.lock pyproject.toml | $(VENV)/stamp-venv
	@echo "Installing the locked packages into $(VENV) (about a minute the first time)"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(PROJECT)
	@touch $@

# The development lock holds the run's lock at the same versions, so this does for both.
$(VENV)/stamp-dev: requirements-dev.lock requirements-panel.lock requirements.lock pyproject.toml | $(VENV)/stamp-venv
	@echo "Installing the locked packages and tools into $(VENV) (one to two minutes the first time)"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@$(INSTALL) --require-hashes --no-deps -r requirements-panel.lock
	@$(PROJECT)
	@touch $@ $(VENV)/stamp-run

$(VENV)-lock/stamp: Makefile
	@$(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip install --quiet --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@
