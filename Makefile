# Everything runs in .venv, made on the first use. Overridable: PYTHON, VENV, and
# TORCH_INDEX=https://download.pytorch.org/whl/cpu for a torch without CUDA from PyTorch's own index.

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: help demo install test outputs lint types ci train-json train-draft train-math train-math-draft train-pair train-prm train-diffusion bench fuzz clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## */\t/' | expand -t 14

demo: $(VENV)/.base  ## install, then extract typed objects with the embedded model
	@$(BIN)/python examples/extract.py

install: $(VENV)/.base  ## create the environment and install the package into it

test: $(VENV)/.test  ## install what the tests need and run them
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

outputs: $(VENV)/.test  ## write what the snippets of README and docs print into the pages
	$(BIN)/python tests/test_examples.py

lint: $(VENV)/.dev  ## ruff, on everything
	$(BIN)/python -m ruff check .

types: $(VENV)/.dev  ## mypy --strict, on a real install of the built wheel
	bash .ci/types $(VENV)

ci:  ## everything that has to hold, in a clean environment
	bash .ci/run

train-json: $(VENV)/.base  ## train examples/models/tiny-lm again (9 minutes of a GPU, or days)
	$(BIN)/python examples/training/train_json.py

train-draft: $(VENV)/.base  ## train examples/models/tiny-draft again
	$(BIN)/python examples/training/train_draft.py

train-math: $(VENV)/.base  ## train examples/models/tiny-math again
	$(BIN)/python examples/training/train_math.py

train-math-draft: $(VENV)/.base  ## train examples/models/tiny-math-draft again
	$(BIN)/python examples/training/train_math_draft.py

train-pair: $(VENV)/.base  ## train examples/models/tiny-safe and tiny-risky again
	$(BIN)/python examples/training/train_pair.py

train-prm: $(VENV)/.base  ## train examples/models/tiny-prm again
	$(BIN)/python examples/training/train_prm.py

train-diffusion: $(VENV)/.base  ## train examples/models/tiny-diffusion again
	$(BIN)/python examples/training/train_diffusion.py

bench: $(VENV)/.bench  ## run all benchmarks beside the peers, write RESULTS.md
	$(BIN)/python benchmarks/run_all.py

fuzz: $(VENV)/.test  ## generate under random schemas, regexes and grammars; validate every output
	$(BIN)/python benchmarks/fuzz.py

clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "guided needs Python 3.11 or later: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Kernels are compiled while packages are fetched: they need numba only.
WHILE = $(BIN)/python -m guided.warm_up $(1) & $(2); installed=$$?; wait; exit $$installed

$(VENV)/.torch: constraints.txt | $(VENV)/bin/python
	$(PIP) --constraint constraints.txt numba
	$(PIP) --no-deps --editable .
	$(call WHILE,,$(PIP) $(INDEX) --no-warn-conflicts --constraint constraints.txt torch)
	@touch $@

$(VENV)/.base: pyproject.toml $(VENV)/.torch
	$(PIP) --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.torch
	$(call WHILE,--canvases,$(PIP) --constraint constraints.txt --editable '.[test]')
	@touch $@ $(VENV)/.base

$(VENV)/.dev: pyproject.toml $(VENV)/.torch
	$(call WHILE,--canvases,$(PIP) --constraint constraints.txt --editable '.[dev]')
	@touch $@ $(VENV)/.base $(VENV)/.test

$(VENV)/.bench: pyproject.toml $(VENV)/.torch
	$(PIP) --constraint constraints.txt --editable '.[bench]'
	@touch $@ $(VENV)/.base
