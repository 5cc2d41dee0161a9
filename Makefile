# Everything works from an empty machine with python3.11, pip and git.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo test check bench bench-forecast up clean lock setup

help: ## show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: $(INSTALLED) ## make .venv from the lock

$(INSTALLED): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(INSTALLED) ## run the main job on an invented maison and say where to look
	$(BIN)/luxauto demo

test: $(INSTALLED) ## check and run every test on real parts
	sh tests/install-servers.sh
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED) ## lint, types and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --warnings
	$(BIN)/lint-imports

bench: $(INSTALLED) ## measure speed against references in the same run
	$(BIN)/python -m benchmarks.run

bench-forecast: $(INSTALLED) ## compare forecasts with twelve reference models on real series, three times
	$(BIN)/python -m benchmarks.forecast

up: $(INSTALLED) ## start the web server and the daemon
	$(BIN)/luxauto up

lock: ## pin the newest versions that pyproject.toml allows
	uv pip compile pyproject.toml --extra dev --extra postgres --extra redis --extra s3 --extra sqs --python-version 3.11 --generate-hashes \
		--no-strip-extras --no-emit-index-url --no-header --upgrade --quiet --output-file requirements.lock

clean: ## remove what can be made again (not .luxauto, which is yours)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache benchmarks/out tests/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
