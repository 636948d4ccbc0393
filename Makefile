# Everything a person types. `make demo` and `make test` need only Python >= 3.11 with pip and venv, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that share the tests: as many as there are cores; 0 for a debugger, or to see what a test prints.
WORKERS ?= auto
# The warning is that of setuptools about its own strict mode, which is what we want.
INSTALL = PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-build-isolation --no-deps \
	--editable . --config-settings editable_mode=strict

.PHONY: demo test check bench chaos lock clean

demo: $(VENV)/run
	$(INSTALL)
	$(BIN)/parkgate demo $(DEMO)

# A new file is seen by a strict editable install only after it is made again, hence `link` each time.
test: need $(VENV)/develop link
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadgroup $(TESTS)

check: $(VENV)/develop link
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_house.py tests/config/test_language.py

chaos: need $(VENV)/develop link
	PYTHONPATH=tests $(BIN)/python -m chaos $(CHAOS)

bench: $(VENV)/develop link
	PYTHONPATH=tests $(BIN)/python benchmarks/run.py $(BENCH)

# What the lock pins, with hashes, for all platforms; the index is whatever pip is set to.
lock: $(VENV)/develop
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--extra build --extra demo pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--extra build --extra demo --extra develop pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: need
need:
	sh tests/need.sh

.PHONY: link
link: $(VENV)/develop
	$(INSTALL)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --require-hashes --requirement requirements.lock
	touch $@

$(VENV)/develop: $(VENV)/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	touch $@ $(VENV)/run
