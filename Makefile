# Every target sets .venv up by itself, and those that need it .venv-dashboard. `make help` lists them.
PORT ?= 8080
ARGS ?=
BIN := .venv/bin
MARK := .venv/setup
DASHBOARD_MARK := .venv-dashboard/setup

.PHONY: help setup run demo dashboard programs test mitmproxy fuzz torture bench soak hostile fleet trials promises clients receivers check lock clean FORCE
.DEFAULT_GOAL := help
# Where this is set, as in many containers, each process that a test starts would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

setup: $(MARK) ## make or update .venv (the other targets do this by themselves)
	@echo ".venv is ready."

# The mark names the folder that .venv was finished for (see deploy/scripts/make-venv).
ifneq ($(shell test -x $(BIN)/python && cat $(MARK) 2>/dev/null),$(CURDIR))
$(MARK): FORCE
endif
ifneq ($(shell test -x .venv-dashboard/bin/python && cat $(DASHBOARD_MARK) 2>/dev/null),$(CURDIR))
$(DASHBOARD_MARK): FORCE
endif
.PRECIOUS: $(MARK) $(DASHBOARD_MARK)  # when interrupted, make would remove the mark that says "unfinished"
$(MARK): pyproject.toml requirements-dev.txt deploy/scripts/make-venv
	@sh deploy/scripts/make-venv
# A venv of its own: mitmproxy pins much of what Datasette needs, too.
$(DASHBOARD_MARK): deploy/dashboard/requirements.txt deploy/scripts/make-venv
	@sh deploy/scripts/make-venv .venv-dashboard deploy/dashboard/requirements.txt

run: $(MARK) ## start the proxy on 127.0.0.1; PORT=8080, ARGS="--set name=value ...", N=4 for four workers on that port
	@exec $(BIN)/llm-metrics run --port $(PORT) $(if $(N),--workers $(N)) $(ARGS)

demo: $(MARK) ## measure six calls to a local stand-in for OpenAI and Anthropic: no key, no network
	@exec $(BIN)/python -m demo $(ARGS)

# PORT has a default for run, which is not meant here: only a value that somebody gave counts.
dashboard: $(DASHBOARD_MARK) ## the live page of a database, on 127.0.0.1; DB=metrics.db, PORT=8001
	@exec .venv-dashboard/bin/python -m deploy.dashboard $(if $(filter command environment,$(origin PORT)),--port $(PORT)) -- "$(DB)"

programs:  # that tests run
	@sh deploy/scripts/install-for-tests

test: programs $(MARK) $(DASHBOARD_MARK) ## run the tests; ARGS="-k name"
	@exec $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

# The mitmproxy of .venv is the oldest that is allowed; this is the newest that is known.
MITMPROXY ?= 12.3.1
WITH_MITMPROXY := tests/unit/addon/fastpath tests/end_to_end/test_fast_path.py tests/end_to_end/test_transparency_http1.py
mitmproxy: $(MARK) ## run tests of real traffic with another mitmproxy than that of .venv; MITMPROXY=12.3.1, ARGS="tests/unit/addon tests/end_to_end"
	@sh deploy/scripts/make-mitmproxy $(MITMPROXY)
	@exec .mitmproxy/$(MITMPROXY)/bin/python -m pytest -p no:cacheprovider $(or $(ARGS),$(WITH_MITMPROXY))

# A run in full, without any of these variables, leaves its record for docs/promises.md.
RECORD = $(if $(strip $(ARGS)$(ROUNDS)$(SECONDS)$(EXCHANGES)),,--json tests/trials/results/$@.json)

# atheris is in no lock file, since nothing else needs it: it is put into .venv the first time.
fuzz: $(MARK) ## feed random and mutated bytes to all that reads traffic, 7 minutes; SECONDS=60
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/python -m pip install --quiet atheris
	@exec $(BIN)/python -m tests.trials.fuzz $(SECONDS) $(RECORD) $(ARGS)

torture: $(MARK) ## break the storage in every way that is known, and see what it loses; ROUNDS=n, SECONDS=s, ARGS="T3 --json FILE"
	@exec $(BIN)/python -m tests.trials.torture $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(RECORD) $(ARGS)

# pytest-benchmark is in no lock file either: only the micro-benchmarks need it.
# It installs Envoy and LiteLLM into .bench/, to compare with, and says so where they cannot be had.
bench: $(MARK) ## measure what the proxy costs beside others, about 40 minutes; ARGS="--quick", ARGS=--no-peers, ARGS=micro, ARGS=capacity, ARGS="--only burst16 --json FILE --svg FILE"
	@$(BIN)/python -c "import pytest_benchmark" 2>/dev/null || $(BIN)/python -m pip install --quiet pytest-benchmark
	@exec $(BIN)/python -m tests.trials.bench $(ARGS)

soak: $(MARK) ## mixed traffic for 20 minutes: nothing leaks, every call leaves its rows; SECONDS=60, ARGS="--rate 50 --json FILE"
	@exec $(BIN)/python -m tests.trials.soak $(if $(SECONDS),--seconds $(SECONDS)) $(RECORD) $(ARGS)

hostile: $(MARK) ## 100,000 exchanges with hostile clients and providers: nobody is harmed, no secret is kept; EXCHANGES=1000, ARGS="--seed 2"
	@exec $(BIN)/python -m tests.trials.hostile $(if $(EXCHANGES),--exchanges $(EXCHANGES)) $(RECORD) $(ARGS)

fleet: programs $(MARK) ## eight sidecars, their exporters and one PostgreSQL, while all of them fail at random; SECONDS=300, ARGS="--sidecars 3 --seed 2"
	@exec $(BIN)/python -m tests.trials.fleet $(if $(SECONDS),--seconds $(SECONDS)) $(RECORD) $(ARGS)

# One after the other, since each measures: all of them, also after one that failed.
TRIALS := torture hostile fleet soak fuzz
trials: $(MARK) ## all trials in full that prove promises, about two hours, and docs/promises.md of their records
	@failed=; for trial in $(TRIALS); do $(MAKE) $$trial || failed="$$failed $$trial"; done; \
	$(MAKE) promises ARGS=tests || failed="$$failed tests"; $(MAKE) promises ARGS=break || failed="$$failed break"; \
	test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

promises: $(if $(ARGS),programs $(DASHBOARD_MARK)) $(MARK) ## write docs/promises.md; ARGS=tests runs the tests that prove it, ARGS=break breaks each promise once
	@exec $(BIN)/python -m tests.trials.promises $(ARGS)

clients: $(MARK) ## try the SDKs and coding agents people have, each in an environment of its own (.clients/), installed from the registries; ARGS="openai codex --minimal"
	@exec $(BIN)/python -m tests.trials.clients $(ARGS)

receivers: $(MARK) ## send a traced call to real receivers of OTLP, installed from the registry into .receivers/; ARGS="phoenix --picture trace.png"
	@exec $(BIN)/python -m tests.trials.receivers $(ARGS)

check: $(MARK) ## linters, formatting, types, who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

LOCK := uv pip compile --quiet --python-version 3.13 --universal --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links

lock: ## pin what pyproject.toml asks for (needs uv); ARGS="--upgrade" takes newer versions
	$(LOCK) $(ARGS) --all-extras -o requirements.txt pyproject.toml
	$(LOCK) $(ARGS) --all-extras --group dev -c requirements.txt -o requirements-dev.txt pyproject.toml
	$(LOCK) $(ARGS) -o deploy/dashboard/requirements.txt deploy/dashboard/requirements.in
	echo hatchling | $(LOCK) $(ARGS) -c requirements-dev.txt -o requirements-build.txt -

clean: ## remove venvs, .clients, .receivers, .bench, .mitmproxy and caches, but no database
	rm -rf .venv .venv-dashboard .clients .receivers .bench .mitmproxy .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
