# `make help` lists what is here. Everything lives in .venv; nothing is installed into the system.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := $(CURDIR)/.venv
BIN    := $(VENV)/bin
export PATH := $(BIN):$(PATH)
SITE_PACKAGES = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2>/dev/null)
COLLECTION = $(SITE_PACKAGES)/ansible_collections/civicops/town

COLLECTION_FILES := galaxy.yml README.md LICENSE $(shell find plugins roles playbooks meta -type f -not -name '*.pyc' 2>/dev/null)

.PHONY: help checkup test unit hosts pages lint campaign bench docs town-up town-down lock clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- the environment ---------------------------------------------------------

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "civicops needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "python3-venv is missing: sudo apt-get install -y python3-venv" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) && touch $@

$(VENV)/.main: requirements.txt pyproject.toml | $(VENV)/.created
	@echo "Installing civicops into .venv ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.main
	@echo "Installing the test tools into .venv ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/.collection: $(VENV)/.main $(COLLECTION_FILES)
	@rm -rf build/collection && mkdir -p build/collection
	@$(BIN)/ansible-galaxy collection build --output-path build/collection . > build/collection/log 2>&1 || { cat build/collection/log >&2; exit 1; }
	@$(BIN)/ansible-galaxy collection install --offline --force -p $(SITE_PACKAGES) \
	  build/collection/civicops-town-*.tar.gz > build/collection/log 2>&1 || { cat build/collection/log >&2; exit 1; }
	@touch $@

# --- what users run ----------------------------------------------------------

checkup: $(VENV)/.collection  ## look at this machine, read-only, and write a report
	@$(BIN)/civicops checkup

town-up: $(VENV)/.dev  ## start a small town of real hosts (root, podman)
	@$(BIN)/python -m tests.hosts up

town-down:  ## remove it
	@$(PYTHON) -m tests.hosts down

# --- what developers and CI run ----------------------------------------------

test: $(VENV)/.dev $(VENV)/.collection  ## everything that CI runs, real hosts included
	@$(MAKE) --no-print-directory -j 2 --output-sync=target lint unit
	@$(MAKE) --no-print-directory hosts pages

unit: $(VENV)/.dev $(VENV)/.collection  ## logic alone, in seconds
	$(BIN)/python -m pytest -q -n 3 --dist loadfile tests/unit

hosts: $(VENV)/.dev $(VENV)/.collection  ## on real hosts, Molecule's scenarios among them (root, podman)
	$(BIN)/python -m pytest -q -n 3 --dist loadfile tests/hosts
	@if [ "$$(id -u)" = 0 ] || [ "$$CI" = true ]; then $(BIN)/molecule test --all; else echo "molecule: skipped, needs root"; fi

pages: $(VENV)/.dev $(VENV)/.collection  ## the report in a browser
	$(BIN)/python -m pytest -q tests/pages

lint: export ANSIBLE_COLLECTIONS_PATH = $(SITE_PACKAGES)
lint: $(VENV)/.dev $(VENV)/.collection  ## ruff, mypy, ansible-lint, ansible-test sanity, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/ansible-lint --offline
	$(BIN)/antsibull-changelog lint
	$(BIN)/antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=self $(COLLECTION)
	$(BIN)/python -m tests.sanity

campaign: $(VENV)/.dev $(VENV)/.collection  ## the long fault and property runs, seeded; CAMPAIGN='--only gate' for a part
	$(BIN)/python -m tests.campaign $(CAMPAIGN)

bench: $(VENV)/.dev $(VENV)/.collection  ## cost per host, against the usual Ansible way in the same run
	$(BIN)/python -m bench

docs: $(VENV)/.dev $(VENV)/.collection  ## regenerate what is generated: JSON Schema of the town file, the catalogue of controls as JSON
	$(BIN)/python -m civicops.town.schema > docs/town.schema.json
	$(BIN)/python -m civicops.assess.catalogue_json > roles/baseline/files/catalogue.json

lock: $(VENV)/.dev  ## resolve the dependencies anew into the two lock files
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  --group build -o requirements.txt pyproject.toml
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  --group dev -c requirements.txt -o requirements-dev.txt pyproject.toml

clean: town-down  ## remove the environment and what was built
	rm -rf .venv build dist .cache
