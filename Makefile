# All set-up happens in .venv; the targets need only python3, python3-venv and make.
# The usual PyTorch for Linux brings gigabytes of CUDA libraries along. For one without, name the index of CPU
# builds that PyTorch's installation page gives: make TORCH_INDEX=... install

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
OUT := demo_output
DEMO ?= --matrix 128 --coils 8 --frames 24 --spokes-per-frame 13 --noise-scan --texture 0.1
STILL ?= --matrix 128 --coils 8 --frames 1 --spokes-per-frame 34 --contraction 0 --breathing 0 --contrast 0 --texture 0.1
INPUT ?=
PISCO := $(BIN)/gadgetron-pisco
SCAN := $(if $(INPUT),$(INPUT),$(OUT)/scan.h5)
PREVIEW_CONFIG ?= radial_preview.xml
STRONG_CONFIG ?= radial_grasp.xml
STILL_CONFIG ?= radial_subspace.xml
EVALUATION := evaluation
OPTIONS ?=
FIGURE ?= .assets/comparison.png
FIGURE_METHODS ?= gridding,grasp,subspace,st_inr

# What `make evaluate` runs: in full, hours; EVALUATE=short, minutes, before a change of a default.
EVALUATE ?= full
ifeq ($(EVALUATE),short)
SCENES ?= cardiac_fast,cardiac_irregular,cardiac_textured
SEEDS ?= 1
SPOKES ?= 14,4
STILL_SPOKES ?= 21
SMALLER ?= --scene-set matrix=64 --scene-set coils=6
EVALUATED := gridding cg_sense grasp subspace nik pisco st_inr
else ifeq ($(EVALUATE),full)
SCENES ?= cardiac_slow,cardiac_fast,cardiac_irregular,cardiac_textured
SEEDS ?= 3
SPOKES ?= 14,8,4,2
STILL_SPOKES ?= 34,21,13
SMALLER ?=
EVALUATED := gridding cg_sense grasp xd_grasp subspace nik pisco st_inr
else
$(error EVALUATE is $(EVALUATE); it can be full or short)
endif
# Methods that a version may lack: those of them that have a preset.
EVALUATED += $(patsubst python_recon/presets/%.yaml,%,$(wildcard python_recon/presets/motion.yaml python_recon/presets/zs_ssl.yaml))
comma := ,
space := $(subst ,, )
METHODS ?= $(subst $(space),$(comma),$(strip $(EVALUATED)))
TABLE_METHODS ?= gridding,cg_sense,grasp,xd_grasp,subspace,motion,zs_ssl,zero_mirid,nik,pisco,iconik,subspace_inr,st_inr
README := README.md

# $(call packages,WHAT): pip, which tells each file that it fetches; its errors come through.
define packages
@rm -f $@
@{ $(BIN)/python -m pip install --disable-pip-version-check $(1) && touch $@; } \
	| sed -un '/metadata/d; s#^ *\(Downloading\|Using cached\|Processing\) \(.*/\)*#  \1 #p; /^Installing/p'
@test -e $@ || { echo "pip failed, see above"; exit 1; }
endef

.PHONY: install demo table evaluate evaluate-ssl test sensitive lint bench cuda clean
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
	@$(if $(INPUT),true,$(PISCO) simulate $(OUT)/still_scan.h5 --overwrite $(STILL))
	@$(if $(INPUT),true,$(PISCO) replay -f $(OUT)/still_scan.h5 -c $(STILL_CONFIG) -o $(OUT)/still.h5 --overwrite --preview $(OUT)/still)
	@echo "Images:   $(OUT)/fast.h5 $(OUT)/strong.h5$(if $(INPUT),, $(OUT)/still.h5)"
	@echo "Previews: $(OUT)/fast $(OUT)/strong$(if $(INPUT),, $(OUT)/still)"
	@echo "Report:   $(OUT)/report.html"

# The table of methods on the front page: all of them on the scan of the demo; then the tables that say what
# the code says. With other TABLE_METHODS, only their rows are measured.
table: $(VENV)/.installed
	@test -e $(OUT)/scan.h5 || { echo "make demo first: its scan is measured"; exit 1; }
	$(PISCO) compare -f $(OUT)/scan.h5 --truth $(OUT)/scan_truth.h5 --methods "$(TABLE_METHODS)" --overwrite --out $(OUT)/comparison
	$(BIN)/python -m tests.tables $(OUT)/comparison/comparison.json $(README)

# Series with dimensions, spokes and normalisation as published with PISCO (doi 10.1016/j.media.2025.103890), but
# for what OPTIONS says (more options of `compare`); still frames; and, in full, the figure of the front page.
evaluate: $(VENV)/.installed
	$(PISCO) compare --simulate $(SCENES) --seeds $(SEEDS) --retrospective-spokes $(SPOKES) \
		--normalisation percentile --methods "$(METHODS)" --overwrite --out $(EVALUATION)/series $(SMALLER) $(OPTIONS)
	$(PISCO) compare --simulate still --seeds $(SEEDS) --retrospective-spokes $(STILL_SPOKES) \
		--normalisation percentile --methods "$(METHODS)" --overwrite --out $(EVALUATION)/still $(SMALLER) $(OPTIONS)
	@cat $(EVALUATION)/series/comparison.md $(EVALUATION)/still/comparison.md > $(EVALUATION)/evaluation.md
	@echo "Table:  $(EVALUATION)/evaluation.md"
ifeq ($(EVALUATE),full)
	$(PISCO) simulate $(EVALUATION)/demo.h5 --overwrite $(DEMO)
	$(PISCO) compare -f $(EVALUATION)/demo.h5 --truth $(EVALUATION)/demo_truth.h5 \
		--methods "$(FIGURE_METHODS)" --overwrite --out $(EVALUATION)/figure
	@cp $(EVALUATION)/figure/comparison.png $(FIGURE)
	@echo "Figure: $(FIGURE)"
endif

# Zero-shot networks by their losses, in the form of the published tables: table.md and ssl.png. Hours on two
# cores; a run that was stopped goes on. SSL_SEEDS=1 is enough for a look.
SSL_SEEDS ?= 3
evaluate-ssl: $(VENV)/.installed-dev
	$(BIN)/python -m tests.evaluate_ssl $(EVALUATION)/ssl --seeds $(SSL_SEEDS)

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

# What wants a GPU, within 8 minutes; without one it says so.
cuda: $(VENV)/.installed-cuda
	$(BIN)/python -m tests.cuda_check

clean:
	rm -rf $(VENV) $(OUT) cuda_check $(EVALUATION) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
