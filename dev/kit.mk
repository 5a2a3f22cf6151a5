# The commands of `make` that only who works on Moorage needs; no project has this file.

TEST_NEEDS := setup browser cdk
TEST_PROCESSES := 6
TEST_ARGS := --ignore=tests/e2e/test_smoke.py
LOCK_TOO = $(MAKE) --no-print-directory lock-tools

.PHONY: faults bench checkov docs image-check upgrade-test lock-tools

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

docs: setup cdk ## what the pages show of the code, written anew
	@$(PY) -m tests.generated

image-check: setup ## build the image and run it hardened, on a Debian 12 without a Docker daemon
	@sh dev/image_check.sh

upgrade-test: setup cdk ## a project of this release takes the next one, with all of its checks: five minutes
	@$(PY) -m pytest -m upgrade tests/scripts/project $(ARGS)

lock-tools:
	@$(UV) pip compile $(LOCKED) --group uv $(ARGS) --output-file requirements-uv.lock
	@$(UV) pip compile $(LOCKED) --group audit $(ARGS) --output-file requirements-audit.lock
	@$(COMPILE) $(ARGS) --output-file requirements-bench.lock --group bench --constraint requirements-dev.lock
	@$(UV) pip compile $(LOCKED) --group checkov $(ARGS) --output-file requirements-checkov.lock
	@$(NODE_PATHS) npm update --silent --package-lock-only --no-fund --no-audit
