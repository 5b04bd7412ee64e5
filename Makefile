# All set-up happens in .venv; the targets need only python3, python3-venv and make.
# TORCH is handed to pip first: the wheels of some indices bring gigabytes of CUDA libraries along. For a
# CPU build, add the index that PyTorch names for it: make TORCH="torch==2.13.0 --index-url ..." test

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
OUT := demo_output
INPUT ?=
PISCO := $(BIN)/gadgetron-pisco
SCAN := $(if $(INPUT),$(INPUT),$(OUT)/scan.h5)
PREVIEW_CONFIG ?= radial_preview.xml
STRONG_CONFIG ?= radial_grasp.xml
EVALUATION := evaluation
METHODS ?= gridding,cg_sense,grasp,xd_grasp,subspace,nik,pisco
OPTIONS ?=

.PHONY: demo evaluate test sensitive lint bench clean
.DELETE_ON_ERROR:

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt install python3-venv"; exit 1; }

$(VENV)/.torch: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH)
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.torch
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.torch
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml | $(VENV)/.torch
	$(BIN)/python -m pip install --quiet -e '.[bench]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	@mkdir -p $(OUT)
	@$(if $(INPUT),true,$(PISCO) simulate $(SCAN) --overwrite --matrix 128 --coils 8 --frames 24 --spokes-per-frame 13 --noise-scan)
	@$(PISCO) replay -f "$(SCAN)" -c $(PREVIEW_CONFIG) -o $(OUT)/fast.h5 --overwrite --preview $(OUT)/fast
	@$(PISCO) replay -f "$(SCAN)" -c $(STRONG_CONFIG) -o $(OUT)/strong.h5 --overwrite --preview $(OUT)/strong --report $(OUT)/report.html
	@echo "Images:   $(OUT)/fast.h5 $(OUT)/strong.h5"
	@echo "Previews: $(OUT)/fast $(OUT)/strong"
	@echo "Report:   $(OUT)/report.html"

# Dimensions, spokes and normalisation as published with PISCO (doi 10.1016/j.media.2025.103890), but for what
# OPTIONS says, more options of `compare`: make OPTIONS="--seeds 1" evaluate
evaluate: $(VENV)/.installed
	$(PISCO) compare --simulate cardiac_slow,cardiac_fast --seeds 3 --retrospective-spokes 14,8,4,2 \
		--normalisation percentile --methods "$(METHODS)" --out $(EVALUATION) $(OPTIONS)

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# Images must not hang on the last bit: what is sensitive to it once more, with other instructions and threads.
sensitive: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=default $(BIN)/python -m pytest -q -m sensitive
	OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -q -m sensitive

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# BART, where it is installed (apt install bart), is a peer too.
bench: $(VENV)/.installed-bench
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) $(OUT) $(EVALUATION) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
