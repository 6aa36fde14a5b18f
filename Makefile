# The whole interface: setup, run, loop, test, prove, lint, bench, verify-hub. See README.md.
PYTHON ?= python3
PORT ?= 7860
SETTINGS ?=
FEATURE ?= sentiment
NAME ?= retrieval
TORCH_INDEX ?=
PY := .venv/bin/python

# Nothing here phones home, and no test or run waits for a Hub that is not asked for.
export GRADIO_ANALYTICS_ENABLED = False
export HF_HUB_DISABLE_TELEMETRY = 1
export TOKENIZERS_PARALLELISM = false

.PHONY: help setup run loop test prove lint bench verify-hub
help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:           ## .venv, locked packages, weights unpacked, database, demo shop (idempotent)
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON) here: install Python 3.11 or newer, or make PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) requirements/install.py $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))
	@$(PY) -m app.prepare $(if $(SETTINGS),--settings $(SETTINGS))

run: setup       ## serve the page on http://127.0.0.1:7860 (PORT=..., SETTINGS=FILE)
	@$(PY) -m app --port $(PORT) $(if $(SETTINGS),--settings $(SETTINGS))

# The corrections of the demo shop stand in for an empty store only where no other database is named.
loop: setup      ## feedback -> data -> LoRA -> evaluate -> gate -> promote (FEATURE=sentiment|support SETTINGS=FILE)
	@$(PY) -m deploy.loop --feature $(FEATURE) $(if $(SETTINGS),--settings $(SETTINGS),$(if $(DATABASE_URL),,--demo))

# Two workers on two cores: with two threads each, they would spend most of their time waiting.
test: export OMP_NUM_THREADS = 1
test: setup      ## everything that CI runs: lint, types, all tiers of tests
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
	@echo "test: unit tier (3 min)" && $(PY) -m pytest -q -n 2 -m "not slow and not realdata and not browser"
	@echo "test: slow, realdata and browser tiers (10 min)" && $(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations 12 -m "slow or realdata or browser"

prove: setup     ## the long proofs, resumable; results are committed
	@$(PY) -m tests.prove

bench: setup     ## speed beside two peers, 12 min (NAME=retrieval); the record goes to var/bench
	@$(PY) -m eval bench $(NAME) --out var/bench/$(NAME)

lint: setup      ## ruff and mypy
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy

verify-hub: setup ## train and report BERT and GPT-2 themselves, where there is a Hub
	@$(PY) -m finetune.verify_hub
