# `make demo` and `make test` do all of their own set-up; see README.md.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
OLD := .venv-2.16
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test quick test-real gpu-tree test-gpu lint unit molecule molecule-old local site bench clean

demo: $(VENV)/ready
	$(BIN)/python -m tests.demo

# All parts side by side as far as they go together; ONLY="unit site": these parts, of which tests/__main__.py has the list.
test: $(VENV)/ready ## every test, or some parts of them: make test ONLY="lint unit"
	$(BIN)/python -m tests $(ONLY)

# What to run before each commit; it needs no Docker.
quick: $(VENV)/ready ## lint, types and unit tests, in under 90 s
	$(BIN)/python -m tests lint unit

$(VENV)/ready: pyproject.toml tests/setup.sh
	tests/setup.sh $(PYTHON) $(VENV) "ansible-core>=2.19"

# The last ansible-core that drives hosts whose Python is 2.7.
$(OLD)/ready: pyproject.toml tests/setup.sh
	tests/setup.sh $(PYTHON) $(OLD) "ansible-core>=2.16,<2.17"

# What ansible-lint reads: it takes 15 s, and is left out where it passed on the same files already.
LINTED := .ansible-lint .yamllint playbooks plugins roles
lint: $(VENV)/ready ## style, types, YAML, Ansible's own rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m tests.unchanged $(LINTED) -- ansible-lint --offline --profile production

# Unit tests wait for processes more than they compute, hence one process more than there are processors.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
unit: $(VENV)/ready ## unit tests; WORKERS=0: in one process
	$(BIN)/python -m pytest tests/unit --numprocesses=$(WORKERS) --dist=worksteal

molecule: $(VENV)/ready ## each role on hosts in Docker, by the newest ansible-core
	$(BIN)/python -m tests.molecule

molecule-old: $(OLD)/ready ## everything on a host of Python 2.7, by ansible-core 2.16
	$(OLD)/bin/python -m tests.molecule py27

# By plain ansible-playbook and without Docker; KILL_ALL=1 kills it after every task instead of some.
LOCAL := tests/site/test_artifact_role.py tests/site/test_kills.py tests/site/test_scorer_role.py
local: $(VENV)/ready ## roles on this machine, among them site.yml killed in the middle and run again
	$(BIN)/python -m pytest $(LOCAL)

site: $(VENV)/ready ## `provision` against three hosts and a small cluster in Docker, over SSH
	$(BIN)/python -m pytest tests/site $(LOCAL:%=--ignore=%) --durations=12

# The real upstream sources, from a mirror that you bring: make test-real MIRROR=DIR
test-real: $(VENV)/ready
	$(BIN)/python -m pytest tests/real --mirror "$(MIRROR)" -s -o faulthandler_timeout=0

# The GPU half from the real sources, built without a card and packed for one: make gpu-tree MIRROR=DIR [ARCHS="9.0"]
ARCHS ?= 9.0
gpu-tree: $(VENV)/ready
	$(BIN)/python -m tests.gpu.tree "$(MIRROR)" --archs "$(ARCHS)"

# Where the card is; needs nothing but Python 3, CUDA's libraries and the tree: make test-gpu [TREE=FILE] [OUT=DIR]
TREE ?= .cache/gpu/tree.tar.xz
OUT ?= .cache/gpu/report
test-gpu:
	$(PYTHON) -m tests.gpu --tree "$(TREE)" --out "$(OUT)"

bench: $(VENV)/ready
	$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) $(OLD) .cache
