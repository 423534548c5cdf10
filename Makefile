# Every target sets up .venv by itself the first time; afterwards that step takes no time.
#   make lessons [DATA_ROOT=folder] [PROFILE=smoke|lesson|paper]
#   make site [RUNS=folder], make slides [RUNS=folder]   (RUNS: what make lessons wrote, runs/lessons)
#   make lab
#   make test, make nightly, make lint, make lock, make clean

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin
OUT ?= runs/lessons
# On a given cohort the lessons really train; without one we only show that everything executes.
PROFILE ?= $(if $(DATA_ROOT),lesson,smoke)
PIP := $(RUN)/python -m pip --disable-pip-version-check
# A few tests at a time, one CPU thread each; the tests of one file stay together and share what they prepare.
PYTEST := OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

.DELETE_ON_ERROR:
.PHONY: help lessons site slides test nightly lab lint lock clean

help:
	@sed -n 's/^#   //p' Makefile

lessons: $(READY)
	@$(RUN)/medsynth lessons run --profile "$(PROFILE)" --out "$(OUT)" $(if $(DATA_ROOT),--data-root "$(DATA_ROOT)")

site slides: $(READY)
	@$(RUN)/medsynth lessons $@ $(if $(RUNS),--runs "$(RUNS)")

test: lint
	@$(PYTEST) -m "not nightly" $(TESTS)

nightly: lint
	@$(PYTEST) $(TESTS)

lab: $(READY)
	@$(RUN)/jupyter lab notebooks

lint: $(READY)
	@$(RUN)/ruff check --quiet .

# Run it with the oldest Python we support: some packages ask for a later patch release than others.
lock: $(READY)
	@report=$$(mktemp) && trap 'rm -f "$$report"' EXIT && \
	$(PIP) install --quiet --dry-run --ignore-installed --report "$$report" -e '.[dev]' 2>/dev/null && \
	$(RUN)/python .ci/make_lock.py "$$report" && git diff --stat -- requirements.lock

clean:
	@rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache

# The stamp is written last, so an interrupted set-up is done again.
$(READY): pyproject.toml requirements.lock
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "No '$(PYTHON)' found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "MedSynth needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1)." >&2; \
	  echo "Name a newer one: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; about two minutes and 3 GB) …"
	@$(RUN)/python -c '' 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	@$(PIP) install --constraint requirements.lock --editable '.[dev]' >$(VENV)/pip.log 2>&1 || { \
	  grep -v ^WARNING $(VENV)/pip.log | tail -25 >&2; \
	  echo "Set-up failed; all of pip's words are in $(VENV)/pip.log. The next make tries again." >&2; exit 1; }
	@touch $@
