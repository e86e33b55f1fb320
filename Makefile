# Two commands: `make demo` shows the whole loop, `make test` proves it. `make dev` opens it.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
ROOT   := $(CURDIR)

# One Dagster instance for every command, also for a bare `dg` or `dagster` (they read .env).
export DAGSTER_HOME := $(ROOT)/.dagster
export PATH := $(ROOT)/$(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(ROOT)/$(VENV)
# No dependency phones home (Dagster's own switches stand in dagster.yaml and pyproject.toml).
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export MLFLOW_ALLOW_MODEL_CODE_EXECUTION := false
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false

# Threads that spin while they wait make a busy machine ten times slower; it counts only before torch is imported.
export OMP_WAIT_POLICY ?= PASSIVE

UI_PORT     ?= 3000
MLFLOW_PORT ?= 5500
MLFLOW_TRACKING_URI ?= sqlite:///$(ROOT)/.lake/mlflow.db

.PHONY: help install instance demo dev test test-fast test-long check format clean

help:
	@echo "make demo       the whole loop on the bundled data: two models, the second because new data came in"
	@echo "make dev        Dagster UI on :$(UI_PORT) with its daemon, MLflow UI on :$(MLFLOW_PORT)"
	@echo "make test       every test; make test-fast: those without torch, servers and long work, a minute; make test-long: proofs by many repetitions"
	@echo "make check      lint, format, types, definitions"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ft_assets needs Python 3.11 or newer; $(PYTHON) is older. Run: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,ui,cluster,dev]'
	@touch $@

instance: install
	@mkdir -p $(DAGSTER_HOME) .lake
	@ln -sfn ../dagster.yaml $(DAGSTER_HOME)/dagster.yaml
	@touch .env
	@grep -v '^DAGSTER_HOME=' .env > .env.new || true
	@echo 'DAGSTER_HOME=$(DAGSTER_HOME)' >> .env.new && mv .env.new .env

demo: instance
	@$(BIN)/python demo/run_demo.py

dev: instance
	@echo "Dagster UI   http://127.0.0.1:$(UI_PORT)   (web server, sensors and schedules; Ctrl-C ends both)"
	@echo "MLflow UI    http://127.0.0.1:$(MLFLOW_PORT)"
	@trap 'kill 0' EXIT INT TERM; \
	$(BIN)/mlflow server --backend-store-uri $(MLFLOW_TRACKING_URI) --host 127.0.0.1 --port $(MLFLOW_PORT) --workers 1 >$(DAGSTER_HOME)/mlflow.log 2>&1 & \
	$(BIN)/dg dev --port $(UI_PORT)

# The fast ones and those with servers on every core; those with torch one after the other, because each trains on all.
test: .cache/checkov/bin/checkov test-fast
	$(BIN)/python -m pytest -n auto --dist loadfile -m "(slow or service) and not torch and not gpu and not long"
	$(BIN)/python -m pytest -m "(torch or gpu) and not long"

# checkov looks at the manifests; it pins old libraries, so it has an environment of its own.
.cache/checkov/bin/checkov:
	$(PYTHON) -m venv .cache/checkov
	.cache/checkov/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30

test-fast: install
	$(BIN)/python -m pytest -n auto -m "not slow and not torch and not service and not gpu and not long"

test-long: install
	$(BIN)/python -m pytest -m long

check: instance
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/dg check defs

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
