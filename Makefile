# make demo: the whole path on real text.   make test: everything that CI checks.   make help: the rest.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c infra/constraints.txt
SOURCES := pyproject.toml $(shell find pipeline operators selectors flows recipes -type f -not -path '*/__pycache__/*')

.PHONY: demo test check typecheck dev docs clean help

demo: .venv/.run  ## Set up and run recipes/demo.yaml; the report is outputs/demo/report.html
	$(BIN)/tamis run recipes/demo.yaml

test: .venv/.test check typecheck  ## Set up, lint, type-check and run all tests
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup --durations=20

check: .venv/.test  ## Lint
	$(BIN)/ruff check .

typecheck: .venv/.test  ## mypy over an installed copy (by folder it would know each file under two names)
	rm -rf .typecheck && $(PIP) --no-deps --target .typecheck . && MYPYPATH=.typecheck $(BIN)/mypy -p tamis

dev: .venv/.test  ## An editable install: changes are seen at once
	$(PIP) --no-deps -e .

docs: .venv/.test  ## Regenerate the operator table in docs/operators.md
	$(BIN)/python docs/operators.py

clean:  ## Remove what make made
	rm -rf .venv .typecheck outputs build

help:  ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# torch first and alone, so that the CPU build at hand is taken and nothing pulls in CUDA
.venv/.base: infra/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tamis needs Python 3.11 or later: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	touch $@

# the last line compiles the kernels of the demo for this processor, once
.venv/.run: .venv/.base $(SOURCES)
	$(PIP) '.[language,embed]'
	$(BIN)/tamis plan recipes/demo.yaml > /dev/null
	touch $@

.venv/.test: .venv/.base $(SOURCES)
	$(PIP) '.[all,test]'
	touch $@ .venv/.run
