# Everything a person does with Parley. Every target first brings .venv up to date (see scripts/bootstrap.py).

PYTHON ?= python3
VENV   := .venv/bin/python
T      ?=
FILE   ?=
ARGS   ?=

# One thread per process: with two models beside each other, more threads only wait for one another.
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 CPU_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo run test unit test-fresh test-containers test-kubernetes check soak soak-live evaluate caddy clean venv-local venv-dev test-arm64 test-arm64-images page-types page-check

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: venv-local ## Transcribe a sample call, or FILE=meeting.mp3, on a stack started for it
	@$(VENV) -m scripts.demo $(if $(FILE),"$(FILE)")

run: venv-local ## Start everything on this machine; PORT, API_KEY and PARLEY_HOME are read from the environment
	@$(VENV) -m scripts.local run

test: venv-dev ## Run all tests, which takes 10 GB of disk, or T=tests/unit/transcripts/test_merge.py
	@$(VENV) -m scripts.download_models --model base --model tiny.en
	@$(THREADS) $(VENV) -m scripts.run_tests $(T)

unit: venv-dev ## Run the tests that need no servers, models or jails, in less than a minute
	@$(THREADS) $(VENV) -m scripts.run_tests --quick

test-containers: venv-dev ## Run docker-compose.yml for real, in a container engine of the tests' own; needs root
	@$(THREADS) $(VENV) -m pytest -p no:cacheprovider --timeout=2400 $(or $(T),tests/containers)

test-kubernetes: venv-dev ## Run Parley on the cluster of KUBECONFIG, or on a node that is started for it; needs root
	@$(VENV) -m scripts.download_models --model base
	@$(THREADS) $(VENV) -m pytest -p no:cacheprovider $(or $(T),tests/kubernetes)

test-fresh: venv-dev ## Start Parley on fresh machines with Debian 12 and 13; needs root, mmdebstrap and 15 GB of disk
	@$(THREADS) $(VENV) -m pytest -p no:cacheprovider $(or $(T),tests/fresh)

test-arm64: venv-dev ## Run Parley on an emulated ARM64 machine; needs root, qemu-system-arm, mmdebstrap and 8 GB of disk
	@$(VENV) -m scripts.download_models --model tiny.en
	@$(VENV) -m pytest -p no:cacheprovider --timeout=3600 $(or $(T),tests/arm64/test_arm64.py)

test-arm64-images: venv-dev ## Build the images for linux/arm64 and start their programs; needs root, qemu-user-static and mmdebstrap
	@$(VENV) -m pytest -p no:cacheprovider --timeout=3600 $(or $(T),tests/arm64/test_images.py)

check: venv-dev ## Lint, formatting, types, and which part may import which
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m mypy
	@.venv/bin/lint-imports

soak: venv-dev ## Kill processes at random for a long time and check that no job is lost or doubled
	@$(THREADS) $(VENV) -m scripts.bench.soak

soak-live: venv-dev ## Kill live workers and gateways over running live sessions and check that no word is lost
	@$(VENV) -m scripts.bench.live_kills

evaluate: venv-dev ## Measure how right transcripts are (docs/quality.md); ARGS="--folder calls" for your own recordings
	@$(VENV) -m scripts.download_models --model base
	@$(THREADS) $(VENV) -m scripts.evaluate $(ARGS)

page-types: venv-dev ## Write the types of the page's calls, web/src/api/schema.d.ts, after a change of the API; needs npm
	@$(VENV) -m scripts.page.types | npm --prefix web run --silent types -- --output src/api/schema.d.ts

page-check: venv-dev ## Check the page from web/ on, and that what is committed is built from it; needs Node 18 and npm
	@$(VENV) -m scripts.page.check

caddy: ## Build Caddy with the rate-limit plugin as build/caddy, for CADDY_RATELIMIT of the tests; needs Go
	go run github.com/caddyserver/xcaddy/cmd/xcaddy@v0.4.5 build \
	  "v$$(sed -n 's/^ARG CADDY_VERSION=//p' deploy/caddy/Dockerfile)" \
	  --with "$$(grep -o 'github.com/mholt/caddy-ratelimit@v[0-9.]*' deploy/caddy/Dockerfile)" --output build/caddy

clean: ## Remove the environment and all caches; data (.parley) and weights (models) stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv-local:
	@$(PYTHON) scripts/bootstrap.py local

venv-dev:
	@$(PYTHON) scripts/bootstrap.py dev
