# SPDX-License-Identifier: Apache-2.0
# Everything that is done with a checkout; "make" alone lists it.

PYTHON ?= python3
NEWEST := 3.3.2
OLDEST := 3.1.8
AIRFLOW ?= $(NEWEST)
ARGS ?=
# More groups of tools for the environment: browser, chaos.
TOOLS ?=
# Of the chaos suite.
JOBS ?= 60
KILLS ?= 10
SEED ?= 1
# Of the simulation.
SEEDS ?= 10000
# Of test-steps: how many pipelines.
STEPS ?= 30
# Of the archives that make fuzz draws: how many, and the number of the first.
INPUTS ?= 100000
FIRST ?= 0
# Of the demo: job, step or start; of the story of a job: partner or custom.
STORY ?= job
ACTION ?= partner
# Of test-clients: the services whose tests of moto's run against the emulator.
MOTO_SUITES ?= s3 codepipeline
# How many tests run at the same time; each worker has an Airflow of its own. A third of their time is waiting, so that
# three fill two cores.
WORKERS ?= 3
# Those that start a real Airflow fill the cores by themselves.
SYSTEM_WORKERS ?= 2

# Draws the diagrams of the site; Material knows this major version.
MERMAID := 11.17.2

VENV := .venv/$(AIRFLOW)
NEWEST_VENV := .venv/$(NEWEST)
# The tools of developers come with the newest Airflow only.
GROUP = $(if $(filter $(NEWEST),$(1)),dev,test)
ENVIRONMENT = $(PYTHON) demo/environment.py
# An Airflow of the user's own is neither read nor written.
TESTS := env AIRFLOW_HOME="$(CURDIR)/$(VENV)/airflow-home" $(VENV)/bin/python -m pytest
# A file of system tests starts its Airflow once, and stays with one worker. The others go to the worker that is idle.
SYSTEM_TESTS := $(TESTS) --numprocesses $(SYSTEM_WORKERS) --dist loadfile -m system
QUICK_TESTS := $(TESTS) --numprocesses $(WORKERS) --dist worksteal -m "not system and not thorough"

.DEFAULT_GOAL := help
.PHONY: help demo demo-ui test test-system test-chaos test-steps explore test-simulation mutations pairs fuzz fuzz-undone test-clients debian-clients test-browser pictures debian-browser benchmark coverage lint prose types spelling changelog release-check sbom audit audit-workflows format docs docs-environment environment newest-environment constraints clean

help: ## list what can be done
	@echo 'Try it (needs Python 3.11 or newer; no AWS account):'
	@echo
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'
	@echo
	@echo 'Variables:'
	@echo '  AIRFLOW=$(AIRFLOW)     the Airflow version; there are$(patsubst constraints/airflow-%.txt, %,$(sort $(wildcard constraints/airflow-*.txt)))'
	@echo '  PYTHON=$(PYTHON)     the Python to start from'
	@echo '  JOBS=$(JOBS) KILLS=$(KILLS) SEED=$(SEED)     of the chaos suite'
	@echo '  STORY=$(STORY)          of the demo: job, step (a pipeline runs a DAG) or start (a DAG starts a pipeline)'
	@echo '  ACTION=$(ACTION)     of the story of a job: whose action it is, partner or custom'
	@echo '  ARGS=              more arguments, for instance make test ARGS="-k claim", make demo ARGS=--check-secrets'

demo: environment ## run a story with an emulated CodePipeline and a real Airflow (STORY=job, step or start)
	@$(VENV)/bin/python demo/run.py --story $(STORY) --action $(ACTION) $(ARGS)

demo-ui: environment ## the same, and leave Airflow's UI open until Ctrl-C
	@$(VENV)/bin/python demo/run.py --ui --story $(STORY) --action $(ACTION) $(ARGS)

test: environment ## run the tests that need no other process
	$(QUICK_TESTS) $(ARGS)

test-system: environment ## run the tests that start a real Airflow and its commands
	$(SYSTEM_TESTS) $(ARGS)

test-chaos: ## kill parts of a real Airflow on Celery while it works (needs PostgreSQL and Redis: compose.yaml)
	@$(ENVIRONMENT) install $(AIRFLOW) --group $(call GROUP,$(AIRFLOW)) chaos
	@$(VENV)/bin/python tests/chaos/run.py --jobs $(JOBS) --kills $(KILLS) --seed $(SEED) $(ARGS)

explore: environment ## walk every order of steps, deaths and lost answers of tasks that claim and report one job
	PYTHONPATH=.:tests $(VENV)/bin/python -m exploration.explore

test-simulation: environment ## let thousands of runs go wrong in a small Airflow, one seed after the other (SEEDS=10000)
	$(TESTS) --quiet --numprocesses 2 --dist worksteal -m thorough tests/simulation
	PYTHONPATH=.:tests $(VENV)/bin/python -m simulation.simulate --seeds $(SEEDS) $(ARGS)

mutations: environment ## break the rules one by one, and count the seeds until the simulation finds each (SEEDS=10000)
	PYTHONPATH=.:tests $(VENV)/bin/python -m simulation.mutations --seeds $(SEEDS) $(ARGS)

test-steps: environment ## run a DAG as a step of many pipelines at once, in a real Airflow (STEPS=30)
	PYTHONPATH=.:tests $(VENV)/bin/python -m tests.system.many_steps --steps $(STEPS) $(ARGS)

pairs: environment ## try every two misfortunes, one after the other, at each step of a DAG (ARGS="--way plain")
	PYTHONPATH=.:tests $(VENV)/bin/python -m simulation.pairs $(ARGS)

fuzz: environment ## unpack archives that nobody would make (INPUTS=100000 FIRST=0)
	PYTHONPATH=.:tests $(VENV)/bin/python -m archive_fuzz.fuzz --inputs $(INPUTS) --first $(FIRST) $(ARGS)

fuzz-undone: environment ## undo what keeps archives in their bounds, one by one, and see that the fuzzer notices each
	PYTHONPATH=.:tests $(VENV)/bin/python -m archive_fuzz.undone

# Tried twice: a registry may be away for a moment.
NPM_INSTALL := npm install --prefix tests/clients --no-package-lock --no-audit --no-fund --loglevel error

test-clients: environment ## try the emulator with the AWS CLI, other AWS SDKs and moto's own tests, and templates with their tools (needs Node.js)
	@$(PYTHON) -m venv .venv/aws-cli
	@.venv/aws-cli/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/clients/requirements.txt
	@$(NPM_INSTALL) || $(NPM_INSTALL)
	MOTO_SUITES="$(MOTO_SUITES)" $(TESTS) tests/clients $(ARGS)

# Without them the tests with Go and Ruby are skipped.
DEBIAN_CLIENTS := golang-go golang-github-aws-aws-sdk-go-v2-dev ruby ruby-aws-sdk-s3

debian-clients: ## install Go, Ruby and their AWS SDKs for test-clients (on Debian, as root)
	@dpkg --status $(DEBIAN_CLIENTS) >/dev/null 2>&1 || { apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $(DEBIAN_CLIENTS); }

BROWSER_GROUPS = $(call GROUP,$(AIRFLOW)) browser

test-browser: ## try the pages in Airflow as a user does, in Chromium (needs it: make debian-browser)
	@$(ENVIRONMENT) install $(AIRFLOW) --group $(BROWSER_GROUPS)
	$(TESTS) tests/browser $(ARGS)

pictures: ## take the pictures of the pages for the documentation (needs Chromium: make debian-browser)
	@$(ENVIRONMENT) install $(AIRFLOW) --group $(BROWSER_GROUPS)
	PYTHONPATH=.:tests $(VENV)/bin/python -m browser.pictures $(ARGS)

# The fonts that Airflow's UI and the pictures have.
DEBIAN_BROWSER := chromium fonts-dejavu-core fonts-inter

debian-browser: ## install Chromium for test-browser and pictures (on Debian, as root)
	@dpkg --status $(DEBIAN_BROWSER) >/dev/null 2>&1 || { apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $(DEBIAN_BROWSER); }

benchmark: environment ## measure what the package costs, beside something known (ARGS="--short", ARGS="hook imports")
	@$(VENV)/bin/python -m benchmarks $(ARGS)

coverage: environment ## the same as test, and measure the covered branches
	$(QUICK_TESTS) --cov --cov-branch --cov-report=term --cov-fail-under=95 $(ARGS)

lint: newest-environment prose ## check style and format, and the prose of the pages
	$(NEWEST_VENV)/bin/ruff check .
	$(NEWEST_VENV)/bin/ruff format --check .

prose: docs-environment ## check the prose of the pages only
	.venv/docs/bin/python docs/site/prose.py

types: newest-environment ## check types
	$(NEWEST_VENV)/bin/mypy
	$(NEWEST_VENV)/bin/mypy -p demo
	$(NEWEST_VENV)/bin/mypy -p release
	$(NEWEST_VENV)/bin/mypy -p tests.chaos
	$(NEWEST_VENV)/bin/mypy benchmarks

spelling: newest-environment ## check the spelling of code and pages
	$(NEWEST_VENV)/bin/codespell

# With DRAFT= it is written into CHANGELOG.md, and the fragments are removed.
DRAFT ?= --draft

changelog: newest-environment ## show what the fragments in changelog.d add to CHANGELOG.md (DRAFT= writes it)
	@$(NEWEST_VENV)/bin/towncrier build $(or $(DRAFT),--yes) $(ARGS)

# The tools of a release have an environment of their own, with the versions in release/requirements.txt.
RELEASE_PYTHON := .venv/release/bin/python

.venv/release/installed: release/requirements.txt
	@echo "[release] the environment of the tools"
	@rm -rf .venv/release && $(PYTHON) -m venv .venv/release
	@$(RELEASE_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --requirement release/requirements.txt
	@touch $@

release-check: .venv/release/installed ## build wheel and sdist into dist, look into them, and let the wheel alone do a job
	$(RELEASE_PYTHON) -m release check --airflow $(OLDEST) $(NEWEST) lowest $(ARGS)

sbom: .venv/release/installed ## write what the wheel in dist needs as CycloneDX, into dist (after make release-check)
	$(RELEASE_PYTHON) -m release sbom --airflow $(NEWEST)

# Strict, since otherwise what PyPI does not know, or does not answer for, counts as safe.
AUDIT := .venv/release/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off

audit: .venv/release/installed ## look for known vulnerabilities of the pinned versions (asks PyPI)
	for pinned in constraints/airflow-$(OLDEST).txt constraints/airflow-$(NEWEST).txt release/requirements.txt; \
		do $(AUDIT) --requirement $$pinned $(ARGS) || exit; done

audit-workflows: .venv/release/installed ## look for what is unsafe in the workflows, offline
	.venv/release/bin/zizmor --offline --quiet --pedantic .github

format: newest-environment ## put the code into format
	$(NEWEST_VENV)/bin/ruff check --fix .
	$(NEWEST_VENV)/bin/ruff format .

docs: docs-environment ## build the site of the documentation in build/docs, and try its links and its search (needs Node.js)
	@test -e .venv/docs/mermaid/$(MERMAID) || { mkdir -p .venv/docs/mermaid && cd .venv/docs/mermaid && \
		tar -xzf "$$(npm pack --silent mermaid@$(MERMAID))" package/dist/mermaid.min.js && touch $(MERMAID) && rm -f *.tgz; }
	NO_MKDOCS_2_WARNING=1 .venv/docs/bin/mkdocs build --clean
	.venv/docs/bin/python -m pytest --quiet --confcutdir tests/site tests/site $(ARGS)

docs-environment:
	@$(ENVIRONMENT) install docs --group docs

environment: ## make the virtual environment, or bring it up to date
	@$(ENVIRONMENT) install $(AIRFLOW) --group $(call GROUP,$(AIRFLOW)) $(TOOLS)

newest-environment:
	@$(ENVIRONMENT) install $(NEWEST) --group $(call GROUP,$(NEWEST))

constraints: ## resolve the pinned versions of AIRFLOW anew
	$(ENVIRONMENT) constraints $(AIRFLOW) --group $(call GROUP,$(AIRFLOW)) browser chaos

clean: ## remove what was made, the virtual environments too
	rm -rf .venv tests/clients/node_modules .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
