# Everything sets itself up: Python 3.11+, git and the package registries are all it takes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint fmt crds e2e fuzz bench conformance clean

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9_-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "set-up: installing (a minute on a fresh machine)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: ## the main job, told step by step on the embedded default
	@start=$$(date +%s); $(MAKE) --no-print-directory $(STAMP) && echo "set-up took $$(( $$(date +%s) - start )) s"
	@$(BIN)/inhaul demo

test: $(STAMP) ## unit, integration, end-to-end and conformance tests
	@$(BIN)/python -m pytest -m "not slow and not envtest" -n 2 --dist loadfile
	@$(BIN)/python -m tests.conformance

lint: $(STAMP) ## formatting, lints, types, import contracts, layout, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.house
	@$(BIN)/python -m controllers.api.crdgen --check crds

fmt: $(STAMP) ## format the code and mend what ruff can mend by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

crds: $(STAMP) ## write crds/ from controllers/api
	@$(BIN)/python -m controllers.api.crdgen crds

e2e: $(STAMP) ## the story as tests; CLUSTER=standin (default) or CLUSTER=envtest (a real kube-apiserver and etcd)
	@INHAUL_E2E_CLUSTER=$(or $(CLUSTER),standin) $(BIN)/python -m pytest tests/e2e -m "not slow" -n 2 --dist loadfile

fuzz: $(STAMP) ## long property and differential tests
	@HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -m slow --timeout 1800

bench: $(STAMP) ## the figures of the performance table
	@$(BIN)/python -m benchmarks

conformance: $(STAMP) ## upstream's vectors, where they are on the machine
	@$(BIN)/python -m tests.conformance

clean: ## remove what the targets above made
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis dist build
