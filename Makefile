# All set-up happens in .venv; the targets need only python3, python3-venv and make.
# The usual PyTorch for Linux brings gigabytes of CUDA libraries along. For one without, name the index of CPU
# builds that PyTorch's installation page gives: make TORCH_INDEX=... install

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
OUT := demo_output
DEMO ?= --matrix 128 --coils 8 --frames 24 --spokes-per-frame 13 --noise-scan
INPUT ?=
PISCO := $(BIN)/gadgetron-pisco
SCAN := $(if $(INPUT),$(INPUT),$(OUT)/scan.h5)
PREVIEW_CONFIG ?= radial_preview.xml
STRONG_CONFIG ?= radial_grasp.xml
EVALUATION := evaluation
METHODS ?= gridding,cg_sense,grasp,xd_grasp,subspace,nik,pisco
OPTIONS ?=
TABLE_METHODS ?= gridding,cg_sense,grasp,xd_grasp,subspace,nik,pisco,iconik,subspace_inr,st_inr
README := README.md

# $(call packages,WHAT): pip, which tells each file that it fetches; its errors come through.
define packages
@rm -f $@
@{ $(BIN)/python -m pip install --disable-pip-version-check $(1) && touch $@; } \
	| sed -un '/metadata/d; s#^ *\(Downloading\|Using cached\|Processing\) \(.*/\)*#  \1 #p; /^Installing/p'
@test -e $@ || { echo "pip failed, see above"; exit 1; }
endef

.PHONY: install demo table evaluate test lint bench cuda clean
.DELETE_ON_ERROR:

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt install python3-venv"; exit 1; }

$(VENV)/.torch: | $(BIN)/python
	@echo "Installing PyTorch$(if $(TORCH_INDEX), from $(TORCH_INDEX)): 0.2 GB to fetch for CPUs, 3 GB with CUDA"
	$(BIN)/python -m pip install --disable-pip-version-check $(TORCH) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.torch
	@echo "Installing gadgetron-pisco and what else it needs: 0.2 GB to fetch"
	$(call packages,-e .)

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.torch
	@echo "Installing gadgetron-pisco with the tools for its tests: 0.3 GB to fetch"
	$(call packages,-e '.[dev]')
	@touch $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml | $(VENV)/.torch
	@echo "Installing gadgetron-pisco with the libraries that it is compared with"
	$(call packages,-e '.[bench]')
	@touch $(VENV)/.installed

install: $(VENV)/.installed
	@echo "Installed: $(PISCO)"

$(VENV)/.installed-cuda: pyproject.toml | $(VENV)/.torch
	@echo "Installing gadgetron-pisco with the libraries of CUDA"
	$(call packages,-e '.[cuda]')
	@touch $(VENV)/.installed

demo: $(VENV)/.installed
	@mkdir -p $(OUT)
	@$(if $(INPUT),true,$(PISCO) simulate "$(SCAN)" --overwrite $(DEMO))
	@$(PISCO) replay -f "$(SCAN)" -c $(PREVIEW_CONFIG) -o $(OUT)/fast.h5 --overwrite --preview $(OUT)/fast
	@$(PISCO) replay -f "$(SCAN)" -c $(STRONG_CONFIG) -o $(OUT)/strong.h5 --overwrite --preview $(OUT)/strong --report $(OUT)/report.html
	@echo "Images:   $(OUT)/fast.h5 $(OUT)/strong.h5"
	@echo "Previews: $(OUT)/fast $(OUT)/strong"
	@echo "Report:   $(OUT)/report.html"

# The table of methods on the front page: all of them on the scan of the demo; then the tables that say what
# the code says. With other TABLE_METHODS, only their rows are measured.
table: $(VENV)/.installed
	@test -e $(OUT)/scan.h5 || { echo "make demo first: its scan is measured"; exit 1; }
	$(PISCO) compare -f $(OUT)/scan.h5 --truth $(OUT)/scan_truth.h5 --methods "$(TABLE_METHODS)" --out $(OUT)/comparison
	$(BIN)/python -m tests.tables $(OUT)/comparison/comparison.json $(README)

# Dimensions, spokes and normalisation as published with PISCO (doi 10.1016/j.media.2025.103890), but for what
# OPTIONS says, more options of `compare`: make OPTIONS="--seeds 1" evaluate
evaluate: $(VENV)/.installed
	$(PISCO) compare --simulate cardiac_slow,cardiac_fast --seeds 3 --retrospective-spokes 14,8,4,2 \
		--normalisation percentile --methods "$(METHODS)" --out $(EVALUATION) $(OPTIONS)

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# BART, where it is installed (apt install bart), is a peer too.
bench: $(VENV)/.installed-bench
	$(BIN)/python -m tests.benchmarks

# What wants a GPU, within 8 minutes; without one it says so.
cuda: $(VENV)/.installed-cuda
	$(BIN)/python -m tests.cuda_check

clean:
	rm -rf $(VENV) $(OUT) cuda_check $(EVALUATION) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
