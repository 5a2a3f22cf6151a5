# The developer's commands; each sets up what it needs by itself. `make` lists them.

PY := .venv/bin/python
# The CDK's command line, on the Node of the virtual environment.
NODE_PATHS := PATH="$(CURDIR)/.venv/bin:$$PATH"
CDK := $(NODE_PATHS) CDK_DISABLE_CLI_TELEMETRY=true node_modules/.bin/cdk
STAGE ?= dev
# One after the other, whatever MAKEFLAGS says: `cdk` needs what `setup` makes.
.NOTPARALLEL:
# Of the caller's environment, what changes how Python, Node and the shell start. PYTHON is for setup.
unexport $(filter-out PYTHON,$(filter PYTHON%,$(.VARIABLES)))
unexport NODE_OPTIONS NODE_PATH NODE_ENV NODE_DEBUG JSII_NODE JSII_RUNTIME LD_PRELOAD \
	BASH_ENV ENV CDPATH GREP_OPTIONS OPENSSL_CONF VIRTUAL_ENV
ifneq ($(shell [ -d "$${TMPDIR:-/tmp}" ] && [ -w "$${TMPDIR:-/tmp}" ] && echo yes),yes)
unexport TMPDIR
endif
# `prod` refuses to go without HTTPS. To look at its templates, a certificate that does not exist does.
EXAMPLE_CERTIFICATE := arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000
NEEDS_CERTIFICATE := $(if $(shell grep -E '^(certificate_arn|domain_name)' stages.toml),,\
	-c certificate_arn=$(EXAMPLE_CERTIFICATE))
UV := .venv/bin/uv
LOCKED := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
SYNC := $(UV) pip sync --quiet --require-hashes
COMPILE := $(UV) pip compile $(LOCKED) pyproject.toml

.PHONY: help setup up db api worker test synth diff faults bench checkov audit check fmt docs image image-check rds-ca \
	lock browser cdk clean
.DEFAULT_GOAL := help

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## the virtual environment in .venv, as locked (PYTHON=... to choose the interpreter)
	@sh dev/setup.sh

up: setup cdk ## the local stage, deployed by the CDK to the local twin (`moor down` ends it)
	@$(PY) -m scripts.cli up

db: setup ## the embedded Postgres alone, in the foreground
	@$(PY) -m scripts.local db

api: setup ## the API alone, on the Postgres that runs here or its own
	@$(PY) -m scripts.local api

worker: setup ## a worker alone, on the Postgres that runs here or its own
	@$(PY) -m scripts.local worker

test: setup browser cdk ## every test, six files at a time (ARGS="-k name" for some of them)
	@$(PY) -m pytest -n 6 --dist loadfile --no-loadscope-reorder $(ARGS)

synth: setup cdk ## the templates of every stage, into cdk.out; no network, no credentials
	@for stage in dev prod local; do \
		[ $$stage = prod ] && certificate="$(NEEDS_CERTIFICATE)" || certificate=; \
		$(CDK) synth --quiet --no-notices --output cdk.out/$$stage -c stage=$$stage $$certificate $(ARGS) \
			>/dev/null || exit 1; \
		echo "$$stage: cdk.out/$$stage"; \
	done

diff: setup cdk ## what a deploy would change: make diff STAGE=prod (needs credentials)
	@[ $(STAGE) != local ] || [ -f .moorage/twin/env ] || \
		{ echo "error: the local twin does not run; \`make up\` starts it" >&2; exit 1; }
	@[ $(STAGE) != local ] || . .moorage/twin/env; \
	$(CDK) diff --all --no-notices --method=template -c stage=$(STAGE) $(ARGS)

faults: setup ## the fault list on real processes, half an hour (ARGS="-k F12" for one row)
	@$(PY) -m tests.faults $(ARGS)

bench: setup ## the queue against its peers, into docs/ (ARGS=--quick for a small run)
	@$(UV) venv --quiet --allow-existing --python $(PY) .venv-bench
	@$(SYNC) --python .venv-bench/bin/python requirements-bench.lock
	@.venv-bench/bin/python -m tests.benchmarks $(ARGS)

checkov: setup ## checkov on the templates of dev and prod, against the list in docs/security.md
	@$(UV) venv --quiet --allow-existing --python $(PY) .venv-checkov
	@$(SYNC) --python .venv-checkov/bin/python requirements-checkov.lock
	@$(PY) -m tests.stacks.scanners.checkov

audit: setup cdk ## known vulnerabilities of what is locked; 69 where no database is within reach
	@$(UV) venv --quiet --allow-existing --python $(PY) .venv-audit
	@$(SYNC) --python .venv-audit/bin/python requirements-audit.lock
	@$(NODE_PATHS) $(PY) -m dev.audit

check: setup ## ruff, mypy --strict, import-linter
	@sh dev/check.sh

fmt: setup ## write the code as ruff formats it
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check --quiet --fix .

docs: setup cdk ## what the pages show of the code, written anew
	@$(PY) -m tests.generated

image: ## the container image moorage:local (ARGS="--platform linux/arm64")
	@sh dev/image.sh $(ARGS)

image-check: setup ## build the image and run it hardened, on a Debian 12 without a Docker daemon
	@sh dev/image_check.sh

rds-ca: setup ## the root certificates of Amazon RDS anew, from AWS (ARGS=file:///... from elsewhere)
	@$(PY) -m dev.rds_ca $(ARGS)

lock: setup ## requirements*.lock anew from pyproject.toml (ARGS=--upgrade for newer versions)
	@$(UV) pip compile $(LOCKED) --group uv $(ARGS) --output-file requirements-uv.lock
	@$(UV) pip compile $(LOCKED) --group audit $(ARGS) --output-file requirements-audit.lock
	@$(COMPILE) $(ARGS) --output-file requirements.lock
	@$(COMPILE) $(ARGS) --output-file requirements-dev.lock --group dev --constraint requirements.lock
	@$(COMPILE) $(ARGS) --output-file requirements-bench.lock --group bench --constraint requirements-dev.lock
	@$(UV) pip compile $(LOCKED) --group checkov $(ARGS) --output-file requirements-checkov.lock
	@$(NODE_PATHS) npm update --silent --package-lock-only --no-fund --no-audit
	@sh dev/setup.sh

cdk: node_modules/.package-lock.json

node_modules/.package-lock.json: package-lock.json
	@umask go-w; $(NODE_PATHS) npm ci --silent --no-fund --no-audit --include=dev --global=false \
		--dry-run=false --workspaces=false --bin-links=true --install-strategy=hoisted
	@touch $@

browser:
	@sh dev/browser.sh

clean: ## forget the local data: ends the local twin and removes .moorage
	@$(or $(wildcard $(PY)),python3) -m scripts.local.clean
