# The developer's commands; each sets up what it needs by itself. `make` lists them.

PY := .venv/bin/python
# The CDK's command line, on the Node of the virtual environment.
NODE_PATHS := PATH="$(CURDIR)/.venv/bin:$$PATH"
CDK := $(NODE_PATHS) CDK_DISABLE_CLI_TELEMETRY=true node_modules/.bin/cdk
# One after the other, whatever MAKEFLAGS says: `cdk` needs what `setup` makes.
.NOTPARALLEL:
# Of the caller's environment, what changes how Python, Node and the shell start. PYTHON is for setup.
unexport $(filter-out PYTHON,$(filter PYTHON%,$(.VARIABLES)))
unexport NODE_OPTIONS NODE_PATH NODE_ENV NODE_DEBUG JSII_NODE JSII_RUNTIME LD_PRELOAD \
	BASH_ENV ENV CDPATH GREP_OPTIONS OPENSSL_CONF VIRTUAL_ENV
ifneq ($(shell [ -d "$${TMPDIR:-/tmp}" ] && [ -w "$${TMPDIR:-/tmp}" ] && echo yes),yes)
unexport TMPDIR
endif
UV := .venv/bin/uv
LOCKED := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
SET_UP := sh dev/setup.sh
SYNC := $(UV) pip sync --quiet --require-hashes
COMPILE := $(UV) pip compile $(LOCKED) pyproject.toml

# Of `make test`, for the tests of a project.
TEST_NEEDS := setup cdk
TEST_PROCESSES := 2

.PHONY: help setup up db api worker test synth diff audit check fmt image rds-ca lock browser cdk clean
.DEFAULT_GOAL := help

# What only Moorage itself has; a project that `moor new` has made is without it.
-include dev/kit.mk

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## the virtual environment in .venv, as locked (PYTHON=... to choose the interpreter)
	@$(SET_UP)

up: setup cdk ## the local stage, deployed by the CDK to the local twin (`moor down` ends it)
	@$(PY) -m scripts.cli up

db: setup ## the embedded Postgres alone, in the foreground
	@$(PY) -m scripts.local db

api: setup ## the API alone, on the Postgres that runs here or its own
	@$(PY) -m scripts.local api

worker: setup ## a worker alone, of all queues (POOL=reports: of that pool), on the Postgres here or its own
	@$(PY) -m scripts.local worker $(if $(POOL),--pool $(POOL))

test: $(TEST_NEEDS) ## every test, some files at a time (ARGS="-k name" for some of them)
	@$(PY) -m pytest -n $(TEST_PROCESSES) --no-loadscope-reorder $(TEST_ARGS) $(ARGS)

synth: setup cdk ## the templates of every stage, into cdk.out; no network, no credentials
	@stages=$$($(PY) -m dev.stages) || exit 1; \
	echo "$$stages" | while read -r stage certificate; do \
		$(CDK) synth --quiet --no-notices --output cdk.out/$$stage -c stage=$$stage $$certificate $(ARGS) \
			</dev/null >/dev/null || exit 1; \
		echo "$$stage: cdk.out/$$stage"; \
	done

diff: setup cdk ## what a deploy would change: make diff STAGE=prod (needs credentials)
	@[ "$(STAGE)" != local ] || [ -f .moorage/twin/env ] || \
		{ echo "error: the local twin does not run; \`make up\` starts it" >&2; exit 1; }
	@[ "$(STAGE)" != local ] || . .moorage/twin/env; \
	$(CDK) diff --all --no-notices --method=template $(if $(STAGE),-c stage=$(STAGE)) $(ARGS)

audit: setup cdk ## known vulnerabilities of what is locked; 69 where no database is within reach
	@$(UV) venv --quiet --allow-existing --python $(PY) .venv-audit
	@$(SYNC) --python .venv-audit/bin/python requirements-audit.lock
	@$(NODE_PATHS) $(PY) -m dev.audit

check: setup ## ruff, mypy --strict, import-linter
	@sh dev/check.sh

fmt: setup ## write the code as ruff formats it
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check --quiet --fix .

image: ## the container image moorage:local (ARGS="--platform linux/arm64")
	@sh dev/image.sh $(ARGS)

rds-ca: setup ## the root certificates of Amazon RDS anew, from AWS (ARGS=file:///... from elsewhere)
	@$(PY) -m dev.rds_ca $(ARGS)

lock: setup ## requirements.lock, -telemetry.lock and -dev.lock anew from pyproject.toml (ARGS=--upgrade for newer versions)
	@$(COMPILE) $(ARGS) --output-file requirements.lock
	@$(COMPILE) $(ARGS) --output-file requirements-telemetry.lock --extra telemetry --constraint requirements.lock
	@$(COMPILE) $(ARGS) --output-file requirements-dev.lock --extra telemetry --group dev --constraint requirements-telemetry.lock
	@$(LOCK_TOO)
	@$(SET_UP)

cdk: node_modules/.package-lock.json

node_modules/.package-lock.json: package-lock.json
	@umask go-w; $(NODE_PATHS) npm ci --silent --no-fund --no-audit --include=dev --global=false \
		--dry-run=false --workspaces=false --bin-links=true --install-strategy=hoisted
	@touch $@

browser:
	@sh dev/browser.sh

clean: ## forget the local data: ends the local twin and removes .moorage
	@$(or $(wildcard $(PY)),python3) -m scripts.local.clean
