# PretrainGym: `make quickstart` runs the main job, `make test` the tests, `make soak` those that take long or need the
# package index, `make compat` tries the reinforcement-learning libraries of others, `make check` linters and types.
# Any target that needs the environment makes it first, in .venv, from the exact versions in requirements.lock.

PYTHON ?= python3
JOBS ?= 2
ARGS ?=

VENV_PYTHON := .venv/bin/python
STAMP := .venv/.installed
PACKAGES := env policies lm experiments

.PHONY: dev quickstart test soak compat check .types
.DELETE_ON_ERROR:

# The stamp holds the checkout's path: a copied or moved checkout installs again, or it would run the old one's code.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

dev: $(STAMP)

quickstart: $(STAMP)
	.venv/bin/pretraingym quickstart --resume $(ARGS)

test: $(STAMP)
	OMP_NUM_THREADS=1 GOMP_SPINCOUNT=1000 $(VENV_PYTHON) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

soak: $(STAMP)
	GOMP_SPINCOUNT=1000 $(VENV_PYTHON) -m pytest -m soak $(ARGS)

compat: $(STAMP)
	$(VENV_PYTHON) -m pretraingym.experiments.compat --jobs $(JOBS) $(ARGS)

check: $(STAMP) .types
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

# Links for type checkers and editors, which do not see an editable install. Nothing uses them at run time.
.types:
	@mkdir -p .types/pretraingym
	@for package in $(PACKAGES); do ln -sfn ../../$$package .types/pretraingym/$$package; done
	@for module in __init__ __main__; do ln -sfn ../../experiments/package_root/$$module.py .types/pretraingym/$$module.py; done

# The stamp goes first and comes back last, so that a failed or interrupted install is always done again.
$(STAMP): requirements.lock pyproject.toml
	@rm -f $(STAMP)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("PretrainGym needs Python 3.11 or later, " \
	    "but $(PYTHON) is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12 ...")'
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(VENV_PYTHON) -m pip install --disable-pip-version-check -r requirements.lock
	$(VENV_PYTHON) -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@printf '%s' '$(CURDIR)' > $(STAMP)
