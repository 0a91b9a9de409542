# `make demo` and `make test` do all of their own set-up; see README.md.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
OLD := .venv-2.16
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Without compiled files, each process of a test compiles again all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-long quick test-fresh test-real gpu-tree test-gpu lint sanity unit molecule molecule-old local alone site \
	bench release clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/ready ## Run the main job on two containers; it ends with captions on the screen
	$(BIN)/python -m tests.demo

# Runs parts at the same time if they do not affect each other; tests/__main__.py has the list of parts.
test: $(VENV)/ready ## Run every test that needs no GPU and no upstream sources; some parts: make test ONLY="lint unit"
	$(BIN)/python -m tests $(ONLY)

quick: $(VENV)/ready ## Run lint, types and the unit tests that do not wait for programs, without Docker: before each commit
	CHOSEN='-m "not slow"' $(BIN)/python -m tests lint unit

# Another ansible-core for the virtual environment: make ANSIBLE="ansible-core==2.18.*" .venv/ready
ANSIBLE ?= ansible-core>=2.19
$(VENV)/ready: pyproject.toml tests/setup.sh
	tests/setup.sh $(PYTHON) $(VENV) "$(ANSIBLE)"

# The last ansible-core that supports hosts with Python 2.7.
$(OLD)/ready: pyproject.toml tests/setup.sh
	tests/setup.sh $(PYTHON) $(OLD) "ansible-core>=2.16,<2.17"

# Where Ansible finds the collection of this checkout.
.cache/collections: $(VENV)/ready
	$(BIN)/python -c "from pathlib import Path; from neuraltalk_provision import paths; \
		paths.link_collection(Path('$@').resolve())"

# What ansible-lint reads. It takes 15 s, so it is skipped if it has already passed on the same files.
LINTED := .ansible-lint .yamllint galaxy.yml $(wildcard meta) playbooks plugins roles
lint: $(VENV)/ready .cache/collections ## Check style, types and YAML
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	PATH="$(CURDIR)/$(BIN):$$PATH" ANSIBLE_COLLECTIONS_PATH=$(CURDIR)/.cache/collections \
		python -m tests.unchanged $(LINTED) -- ansible-lint --offline --profile production
	$(BIN)/python -m tests.unchanged $(LINTED) tests/sanity -- $(BIN)/python -m tests.sanity

sanity: $(VENV)/ready ## Run ansible-test sanity alone, which lint runs too
	$(BIN)/python -m tests.sanity

# Unit tests mostly wait for processes, so there is one worker more than there are processors.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
unit: $(VENV)/ready ## Run the unit tests; WORKERS=0: in one process
	$(BIN)/python -m pytest tests/unit $(CHOSEN) --numprocesses=$(WORKERS) --dist=worksteal

molecule: $(VENV)/ready ## Run the Molecule scenarios, on containers
	$(BIN)/python -m tests.molecule

molecule-old: $(OLD)/ready ## Run the scenarios of Python 2.7 hosts, with ansible-core 2.16
	$(OLD)/bin/python -m tests.molecule py27

# With plain ansible-playbook, without Docker. KILL_ALL=1 kills after every task.
LOCAL := tests/site/test_artifact_role.py tests/site/test_serve.py tests/site/test_kills.py tests/site/test_rpm_packages.py \
	tests/site/test_scorer_role.py
local: $(VENV)/ready ## Run roles on this machine; kill site.yml after its tasks and run it again; packages by dnf; nginx
	$(BIN)/python -m pytest $(LOCAL)

# Site tests that take long: machines in odd states, images, and what a host does without its controller.
LONG := tests/site/test_odd_machines.py tests/site/test_return.py tests/site/test_drain.py tests/site/test_shared_root.py \
	tests/site/test_drain_shared.py \
	tests/site/test_cache.py tests/site/test_relay.py tests/site/test_image.py
test-long: $(VENV)/ready ## Run the site tests that take longest, which make test leaves out; before a release
	$(BIN)/python -m tests.molecule unknown_whole
	KILL_ALL=1 $(BIN)/python -m pytest $(LONG) tests/site/test_kills.py tests/unit/test_cudnn.py --durations=12 -o faulthandler_timeout=2400

# Site tests that need none of the hosts of the others, so that both can run at the same time.
ALONE := tests/site/test_prove.py tests/site/test_cudnn.py tests/site/test_controller.py
alone: $(VENV)/ready ## Run the site tests that start machines of their own: proofs of a mirror, cuDNN, a bare controller
	$(BIN)/python -m pytest $(ALONE) --work=site-alone --durations=12 -o faulthandler_timeout=2400

# The first test waits until all hosts are built, which takes long while other parts run.
site: $(VENV)/ready ## Run the site tests: hosts over SSH, systemd, Slurm
	$(BIN)/python -m pytest tests/site $(LOCAL:%=--ignore=%) $(LONG:%=--ignore=%) $(ALONE:%=--ignore=%) --durations=12 -o faulthandler_timeout=2400

# Before a release. Some machines: make test-fresh ONLY="12 13-core-2.20"; tests/fresh.py has the list.
test-fresh: $(VENV)/ready ## Run make demo and make quick of the last commit in bare containers of releases of Debian and Ubuntu
	$(BIN)/python -m tests.fresh $(ONLY)

# The real upstream sources, from your own mirror: make test-real MIRROR=DIR [RELEASE=11|12|13|testing|ubuntu-22|ubuntu-24|ubuntu-26] [SHORT=1]
# .cache/tried.yaml gets a row about the release: what was there, and what worked.
RELEASE ?= 12
test-real: $(VENV)/ready ## Test the real upstream sources on RELEASE=11|12|13|testing|ubuntu-22|ubuntu-24|ubuntu-26; needs MIRROR=DIR
	$(BIN)/python -m pytest tests/real --mirror "$(MIRROR)" --release "$(RELEASE)" $(if $(SHORT),--short) -s \
		-o faulthandler_timeout=0

# The GPU components from the real sources, built without a card and packed for a machine with one: make gpu-tree MIRROR=DIR [ARCHS="9.0"]
ARCHS ?= 9.0
gpu-tree: $(VENV)/ready ## Build the GPU components from the real sources, for test-gpu; needs MIRROR=DIR
	$(BIN)/python -m tests.gpu.tree "$(MIRROR)" --archs "$(ARCHS)"

# On a machine with a card. Needs only Python 3, CUDA's libraries and the packed tree: make test-gpu [TREE=FILE] [OUT=DIR]
TREE ?= .cache/gpu/tree.tar.xz
OUT ?= .cache/gpu/report
test-gpu: ## Test the packed tree on a machine with a GPU; takes TREE=FILE and OUT=DIR
	$(PYTHON) -m tests.gpu --tree "$(TREE)" --out "$(OUT)"

bench: $(VENV)/ready ## Measure what a converge and many runs cost
	$(BIN)/python -m tests.bench

release: $(VENV)/ready ## Build and check the wheel, the sdist and the collection of the last commit, in dist/
	$(BIN)/python -m tools.release

clean: ## Remove the virtual environments, the caches and dist
	rm -rf $(VENV) $(OLD) .cache dist
