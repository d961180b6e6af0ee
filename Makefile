# `make run` runs the whole loop on this machine, `make test` passes all tests. Both set everything up by themselves.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PY := .venv/bin/python
AIRFLOW_PY := .venv-airflow/bin/python
CHECKED := tasks plugins dags scripts tests
ENVIRONMENT ?= dev

# Python keeps its byte code: a job starts in half the time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run ui test test-jobs test-airflow test-fast lint types bench image image-test sbom audit terraform-check terraform-scan terraform-schema \
  docs release release-dry-run format clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make run takes: APPROVE=auto|manual|timeout  DECISION=approve|reject  DAYS=3  WORLD=everywhere  SEED=7  FRESH=1"
	@echo "  make release takes: ENVIRONMENT=dev|prod  RELEASE_ARGS='--yes --tested-by … --allow-destroy DATASET.TABLE'"

setup: ## make both environments from uv.lock (skipped when done)
	@scripts/bootstrap.sh

run: setup ## the whole loop: sandbox, Airflow, ingest → MMM → plan → approval → canary → watch → report
	@$(AIRFLOW_PY) scripts/run_loop.py

ui: setup ## keep sandbox and Airflow up after a run, until Ctrl-C
	@$(AIRFLOW_PY) scripts/run_loop.py --ui

test: lint types test-jobs test-airflow ## everything: lint, types, all tests

test-jobs: setup ## the tests of the jobs, two files at a time
	$(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/dags --ignore=tests/plugins --ignore=tests/pods

test-airflow: setup ## the tests of DAGs, plugins and pods, a real scheduler among them
	$(AIRFLOW_PY) -m pytest -q tests/dags tests/plugins tests/pods

test-fast: lint types ## lint, types, unit tests: under three minutes
	$(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" --ignore=tests/dags --ignore=tests/plugins --ignore=tests/pods
	$(AIRFLOW_PY) -m pytest -q -m "not slow" tests/dags tests/plugins tests/pods

lint: setup ## ruff, import rules, generated pages
	.venv/bin/ruff format --check --quiet $(CHECKED)
	.venv/bin/ruff check --quiet $(CHECKED)
	.venv/bin/lint-imports
	$(PY) scripts/generate_docs.py --check

types: setup ## mypy, strict
	.venv/bin/mypy

bench: setup ## the bars of DESIGN §8, as rates and ratios of one run
	$(PY) -m tests.bench

terraform-check: setup ## format, schema, variables and plan of every Terraform stack, without cloud or registry
	$(PY) scripts/terraform_check.py

terraform-scan: setup ## policy scan of Terraform by checkov, in an environment of its own
	@UV_PYTHON="$$(readlink -f $(PY))" UV_PYTHON_DOWNLOADS=never .tools/bin/uv run --quiet --locked --script scripts/terraform_scan.py

terraform-schema: setup ## after a new resource type: read its schema from the pinned package
	$(PY) scripts/terraform_schema.py

image: setup ## the job images with podman; EXTRA=mmm: one; BASE_IMAGE=…: another base; FRESH=1: no layer of an earlier build; FLAGS=1: with GrowthBook's SDK
	@$(PY) scripts/images.py $(EXTRA) $(if $(FRESH),--fresh) $(if $(FLAGS),--flags)

image-test: EXTRA :=
image-test: image ## builds all images and runs in them, as root: tests of a job, one pod of each, failures, limits
	$(PY) -m pytest -q -n 2 --dist load -m container tests/images

sbom: image ## what is inside of each image: dist/sbom/*.cdx.json
	@$(PY) scripts/supply_chain.py sbom $(EXTRA)

audit: setup ## known vulnerabilities of every locked package of the images; needs osv.dev, or SERVICE=pypi
	@$(PY) scripts/supply_chain.py audit $(EXTRA) $(if $(SERVICE),--service $(SERVICE))

docs: setup ## write the generated pages anew
	$(PY) scripts/generate_docs.py
	$(AIRFLOW_PY) scripts/dags_readme.py
	$(AIRFLOW_PY) scripts/pod_manifests.py --write
	$(PY) scripts/images.py --readme

release-dry-run: setup ## every step of a release with its commands; touches nothing: ENVIRONMENT=dev
	@$(AIRFLOW_PY) scripts/release.py $(ENVIRONMENT) --dry-run $(RELEASE_ARGS)

release: setup ## images → lock file → plan → apply → smoke test; safe to repeat: ENVIRONMENT=dev|prod
	@$(AIRFLOW_PY) scripts/release.py $(ENVIRONMENT) $(RELEASE_ARGS)

format: setup ## format and fix what can be fixed
	.venv/bin/ruff format $(CHECKED)
	.venv/bin/ruff check --fix $(CHECKED)

clean: ## forget environments and all local state
	rm -rf .venv .venv-airflow .tools .local
