# Every target builds .venv by itself when it is missing or out of date. Windows: see README.md for the same commands without make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
COLAB := .venv-colab
TEST_JOBS ?= 2
BENCH_STAMP := $(VENV)/.bench-installed
# nbgrader runs some of its tools as commands, so the environment's own programs must be found first.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
JUPYTER_AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help lab test test-browser test-slow test-colab bench bench-grading notebooks grade rejudge report release lint clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'
	@echo
	@echo "  Options: PYTHON=python3.12 (3.11 to 3.13), PIP_ARGS='--extra-index-url ...' (see README.md for torch without CUDA)"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "effkit needs Python 3.11 to 3.13, and $(PYTHON) is another: run make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable '.[test]'
	@touch $@

lab: $(STAMP)  ## open JupyterLab on the course (LAB_ARGS=--no-browser and the like)
	$(BIN)/jupyter lab $(JUPYTER_AS_ROOT) $(LAB_ARGS)

test: lint  ## run every test that needs no browser and no minutes (TEST_ARGS='-k judge' and the like)
	$(BIN)/python -m pytest --numprocesses $(TEST_JOBS) --dist loadfile -m 'not browser and not slow' $(TEST_ARGS)

test-browser: $(STAMP)  ## run the tests that drive JupyterLab in Chromium
	$(BIN)/python -m pytest -m browser tests/browser $(TEST_ARGS)

# Colab's own versions come first; the rest is what constraints.txt says.
$(COLAB)/.installed: constraints.txt tests/notebooks/colab-requirements.txt
	$(PYTHON) -m venv $(COLAB)
	awk -F== 'NR == FNR { if (NF > 1) colab[tolower($$1)]; next } !(tolower($$1) in colab)' \
	  tests/notebooks/colab-requirements.txt constraints.txt > $(COLAB)/constraints.txt
	$(COLAB)/bin/python -m pip install --quiet $(PIP_ARGS) --constraint $(COLAB)/constraints.txt --requirement tests/notebooks/colab-requirements.txt
	$(COLAB)/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

test-colab: $(COLAB)/.installed  ## run the lectures with the versions that Colab has
	$(COLAB)/bin/python -m pytest -s -W ignore::DeprecationWarning tests/notebooks/test_lectures_run.py $(TEST_ARGS)

test-slow: $(STAMP)  ## run the tests that take minutes, such as a class of two hundred
	$(BIN)/python -m pytest -m slow $(TEST_ARGS)

lint: $(STAMP)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable '.[bench]'
	@# calflops asks for accelerate and, unsaid, for transformers, to fetch models by name; its counter needs neither.
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --no-deps calflops
	@touch $@

bench: $(BENCH_STAMP)  ## compare with other counters and torch's timer: speed, memory, and the reason of each difference
	$(BIN)/python -m benchmarks.profile_speed
	$(BIN)/python -m benchmarks.timer_agreement
	$(BIN)/python -m benchmarks.reconcile

notebooks: $(STAMP)  ## generate solutions/ and labs/ notebooks from their sources (FORCE=1 replaces uncommitted work, keeping a .bak)
	$(BIN)/effkit notebooks $(if $(FORCE),--force) $(if $(RERUN),--rerun)

grade: $(STAMP)  ## grade submitted/STUDENT/LAB/LAB.ipynb for everyone: make grade LAB=lab2_parameters (GRADE_ARGS='--jobs 4')
	@test -n '$(LAB)' || { echo 'Which lab? For example: make grade LAB=lab2_parameters'; exit 2; }
	$(BIN)/effkit grade '$(LAB)' $(if $(SEED),--seed '$(SEED)') $(GRADE_ARGS)

rejudge: $(STAMP)  ## judge stored answers again after a task was mended: make rejudge LAB=lab2_parameters (APPLY=1 records it)
	@test -n '$(LAB)' || { echo 'Which lab? For example: make rejudge LAB=lab2_parameters'; exit 2; }
	$(BIN)/effkit rejudge '$(LAB)' $(if $(APPLY),--apply)

report: $(STAMP)  ## write grades/LAB-report.html and the CSVs for Canvas and Moodle: make report LAB=lab2_parameters
	@test -n '$(LAB)' || { echo 'Which lab? For example: make report LAB=lab2_parameters'; exit 2; }
	$(BIN)/effkit report '$(LAB)'

release: $(STAMP)  ## make the student bundle in release/, unless an answer is in it (RELEASE_ARGS='--labs lab2_parameters')
	$(BIN)/effkit release $(RELEASE_ARGS)

bench-grading: $(STAMP)  ## time effkit grade beside stock nbgrader autograde (BENCH_ARGS='--sizes 10 50' and the like; minutes)
	$(BIN)/python -m benchmarks.grading $(BENCH_ARGS)

clean:  ## remove the environment and caches; never touches submissions, grades or notebooks
	rm -rf $(VENV) $(COLAB) .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
