# `make` lists what there is.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
JOBS   ?= 2
TORCH  ?= torch==2.13.0
SETS   ?= $(if $(RECONFLOW_TEST_DATA),$(wildcard $(RECONFLOW_TEST_DATA)/dev/*))
ROUNDS ?= 3
comma  := ,
FIRST_GPU := $(firstword $(subst $(comma), ,$(or $(CUDA_VISIBLE_DEVICES),0)))
PAGE   := webapp/static/index.html

.DEFAULT_GOAL := help
.PHONY: help install ui demo serve test lint bench bench-gpu format clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## make .venv with everything in it

$(STAMP): pyproject.toml hatch_build.py deploy/system-libraries.sh
	@sh deploy/system-libraries.sh $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@test -z "$(TORCH)" || $(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

ui: $(STAMP) $(PAGE)  ## build the web page where its sources have changed

$(PAGE): $(shell find webapp/ui -path '*/node_modules' -prune -o -type f -print) | $(STAMP)
	$(BIN)/python hatch_build.py
	@touch $@

demo: $(STAMP)  ## render photos with known cameras, reconstruct them, compare
	$(BIN)/reconflow demo --out demo

serve: ui  ## run the web service on http://127.0.0.1:8000
	$(BIN)/reconflow serve

# One thread in each process: two that compete for the cores wait for one another actively, and take three times as long.
test: ui  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadscope --reruns 1 --rerun-except 'Timeout.*pytest-timeout' -rfER

lint: $(STAMP)  ## check format, rules, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	@test ! -d webapp/ui/node_modules || $(BIN)/python hatch_build.py run lint

bench: $(STAMP)  ## measure whole runs beside plain COLMAP: make bench SETS="FOLDER ..."
	@test -n "$(SETS)" || { echo 'Name folders with images/ in them: make bench SETS="FOLDER ..."'; exit 1; }
	$(BIN)/python benchmarks/quality/evaluate.py $(SETS) --repeats $(ROUNDS) --peer-defaults --json benchmarks/results/runs.json
	$(BIN)/python benchmarks/report.py

bench-gpu: $(STAMP)  ## where GPUs are, check and time their paths: make bench-gpu PHOTOS=FOLDER
	@test -d "$(PHOTOS)" || { echo 'Name a folder of some 200 photos: make bench-gpu PHOTOS=FOLDER'; exit 1; }
	@$(BIN)/python benchmarks/gpu_ready.py
	$(BIN)/python -m pytest -m gpu -rs tests
	$(BIN)/python benchmarks/speed/lightglue.py "$(PHOTOS)" --json benchmarks/results/lightglue-gpu.json
	$(BIN)/python benchmarks/speed/mast3r.py --seeded official --long-edge 512 --photos 24 --json benchmarks/results/mast3r-gpu.json
	CUDA_VISIBLE_DEVICES=$(FIRST_GPU) $(BIN)/python benchmarks/speed/workers.py "$(PHOTOS)" --json benchmarks/results/workers-gpu.json
	$(BIN)/python benchmarks/report.py

format: $(STAMP)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@test ! -d webapp/ui/node_modules || $(BIN)/python hatch_build.py run format

clean:  ## remove what the targets made
	rm -rf $(VENV) demo build dist webapp/static webapp/ui/node_modules .pytest_cache .ruff_cache .hypothesis .import_linter_cache
