# Everything works from an empty machine with python3.11, pip and git.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
GPU_INSTALLED := $(VENV)/.installed-gpu
TORCH := torch==2.13.0
# What comes with a CUDA build of torch, and with no other.
WITH_TORCH := torch triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cccl cuda-cupti cuda-nvrtc \
	cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)

.PHONY: help demo test check bench bench-forecast bench-gpu up clean lock setup setup-gpu

help: ## show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: $(INSTALLED) ## make .venv from the lock

$(INSTALLED): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

setup-gpu: $(GPU_INSTALLED) ## add what the GPU server needs (several GB where pip finds a CUDA build)

# Which build of torch fits depends on the machine's accelerator, so it stands in no lock.
$(GPU_INSTALLED): requirements-gpu.lock $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-gpu.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	touch $@

demo: $(INSTALLED) ## run the main job on an invented maison and say where to look
	$(BIN)/luxauto demo

test: $(GPU_INSTALLED) ## check and run every test on real parts
	sh tests/install-servers.sh
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(GPU_INSTALLED) ## lint, types and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --warnings
	$(BIN)/lint-imports

bench: $(INSTALLED) ## measure speed against references in the same run
	$(BIN)/python -m benchmarks.run

bench-forecast: $(INSTALLED) ## compare forecasts with twelve reference models on real series, three times
	$(BIN)/python -m benchmarks.forecast

bench-gpu: $(GPU_INSTALLED) ## measure the SDXL engine on this machine's card (GPU_BENCH="--size tiny" on a CPU)
	$(BIN)/python -m benchmarks.gpu $(GPU_BENCH)

up: $(INSTALLED) ## start the web server and the daemon
	$(BIN)/luxauto up

lock: ## pin the newest versions that pyproject.toml allows
	uv pip compile pyproject.toml --extra dev --extra postgres --extra redis --extra s3 --extra sqs --python-version 3.11 --generate-hashes \
		--no-strip-extras --no-emit-index-url --no-header --upgrade --quiet --output-file requirements.lock
	uv pip compile --group gpu --constraint requirements.lock --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-emit-index-url --no-header --no-annotate --upgrade --quiet $(foreach package,$(WITH_TORCH),--no-emit-package $(package)) \
		--output-file requirements-gpu.lock

clean: ## remove what can be made again (not .luxauto, which is yours)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache benchmarks/out tests/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
