# `make demo` and `make test` are the two that matter; both build .venv/ first, once.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo demo-report test lint audit bench docs hooks words venv chromium clean

# The first Python of at least 3.11; another one: make demo PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then command -v "$$p"; break; fi; done)
BIN := .venv/bin
READY := .venv/.ready
APT := $(if $(filter 0,$(shell id -u)),,sudo )apt-get
# Two processes that compute with torch at once: its threads spin while they wait and keep each other from the cores.
# Measured on two cores, a loop of small matrix products in two processes: 148 s as it comes, 10 s with waiting threads
# put to sleep.
test: export OMP_WAIT_POLICY ?= PASSIVE
# What one process compiles the others need not.
test: export PYTHONDONTWRITEBYTECODE =
# More options for `harness demo`, or for pytest: make demo ARGS="--limit 60"
ARGS ?=

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(READY) ## the default experiment: real reviews, a real small model, real training; no key needed
	@$(BIN)/harness demo $(ARGS)

# The run of a new demo, or RUN: any run's folder. A published one will do, for new looks of the page need no new numbers.
demo-report: $(READY) ## reports/ anew, by the demo; RUN=reports/demo-… where only the page's looks have changed
	@run="$(RUN)"; if [ -z "$$run" ]; then run="$$($(BIN)/harness demo --yes $(ARGS) | tee /dev/stderr | tail -n 1)"; \
		run="$${run%/*}"; fi; \
	site="$$(mktemp -d)"; $(BIN)/harness publish "$$run" --site "$$site/reports" --samples none --yes; \
	rm -rf reports; mv "$$site/reports" reports; rmdir "$$site"

test: $(READY) chromium ## the tests; those that take long come with ARGS="-m thorough"
	@$(BIN)/pytest -q -n 2 --dist loadgroup -m "not thorough" $(ARGS)

lint: $(READY) ## style, types and the direction of imports
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Strict: what the advisory service does not know would else pass for safe. It knows no local versions (torch's +cpu).
audit: $(READY) ## known weaknesses of what is installed; asks PyPI for them, so it needs the network
	@[ -x build/audit/bin/pip-audit ] || { $(BIN)/python -m venv build/audit; \
		build/audit/bin/python -m pip install -qq 'pip-audit>=2.10'; }
	@$(BIN)/python -m pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' >build/audit/installed.txt
	@build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement build/audit/installed.txt

hooks: $(READY) ## docs/reference/hooks.md and errors.md anew, from the specifications and from what is printed
	@PYTHONPATH=tests $(BIN)/python -m support.hooks_reference
	@PYTHONPATH=tests $(BIN)/python -m support.mistakes

bench: $(READY) ## speed against the raw client and against other tools
	@for script in $(filter-out benchmarks/peers.py benchmarks/synthetic.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python "$$script"; done

docs: $(READY) ## the documentation as a site in build/site/
	@$(BIN)/python -m pip install -qq --group docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --config-file .ci/mkdocs.yml
	@echo build/site/index.html

venv: $(READY) ## .venv/ alone

# The report's tests look at the page in a real browser; they fail where there is none.
chromium:
	@if ! command -v chromium >/dev/null && command -v apt-get >/dev/null; then \
		echo "Installing chromium for the report's tests"; \
		$(APT) update -qq && DEBIAN_FRONTEND=noninteractive $(APT) install -y -qq --no-install-recommends chromium >/dev/null \
		|| echo "chromium could not be installed: the tests that need it will fail" >&2; fi

# torch is pinned in constraints.txt. pip is brought up to date first, for dependency groups (25.1 and later).
$(READY): pyproject.toml constraints.txt
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or later is needed and was not found;" \
		"install it, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed; $(PYTHON) is $$("$(PYTHON)" -V 2>&1)" >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || { \
		! command -v apt-get >/dev/null || { $(APT) update -qq && $(APT) install -y -qq python3-venv >/dev/null; } || true; \
		"$(PYTHON)" -c 'import ensurepip' || { echo "install your system's package for python3-venv" >&2; exit 2; }; }
	@echo "Installing into .venv/ (once, 1 to 5 minutes; torch is the large one)"
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install -qq --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[local]' --group dev
	@touch $@

# No line numbers, and in order of the strings: a catalogue changes where its words change. A method `say` of something
# else (the console's) is no word of a page, so only modules that import the words are read.
SPEAKING = $(shell grep -rlE "from harness.words import .*(noted|say)" --include='*.py' harness plugins)
words: $(READY) ## brings the catalogues of harness/languages/ up to date with the words in the code
	@mkdir -p build
	@$(BIN)/pybabel --quiet extract --mapping=pyproject.toml --no-default-keywords -k say -k say_n:2,3 -k tally:1,2 -k noted \
		--no-location --sort-output --omit-header --output=build/words.pot $(SPEAKING) harness/report/templates
	@for catalogue in harness/languages/*.po; do $(BIN)/pybabel --quiet update --input-file=build/words.pot \
		--locale="$$(basename "$$catalogue" .po)" --output-file="$$catalogue" --no-fuzzy-matching --ignore-obsolete \
		--ignore-pot-creation-date --no-wrap; done

clean: ## caches and build results; .venv/ and runs/ stay
	@rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
