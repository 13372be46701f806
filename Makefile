# What a developer runs. Everything lives in $(VENV) and build/; a second call does only what changed.
#
#   make venv | demo | test | test-full | nightly | tidy | opinfo | bench | docs | clean
#
# On Linux x86-64 PyPI's torch brings CUDA along. To get the CPU build, point pip's own settings
# (PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS) at PyTorch's CPU wheels before the first call.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
STAMP := $(VENV)/.installed
JOBS ?= 2

.PHONY: venv demo test test-full nightly check lit tidy opinfo bench docs clean
.DEFAULT_GOAL := venv

venv: $(STAMP)

# The install is editable: only new dependencies, packages or commands need another one.
$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --editable '.[dev,demo]'
	@touch $@

demo: venv
	$(BIN)/python examples/digits.py

test: check lit
	$(BIN)/python -m pytest -n $(JOBS)

# With all samples of the operators, of which test_some has a few.
test-full: check lit
	$(BIN)/python -m pytest -n $(JOBS) -m 'not slow' \
	  --deselect test/opinfo/test_opinfo.py::test_some

# Large models, all boards, seeded faults, clang-tidy: everything. Drawn cases are other ones each
# time; TOSAIC_SEED=… draws those of an earlier run again.
nightly: export TOSAIC_SEED := $(or $(TOSAIC_SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))
nightly: check lit
	@echo "TOSAIC_SEED=$$TOSAIC_SEED"
	$(BIN)/python -m pytest -n $(JOBS) -m 'slow or not slow'

# mypy cannot follow an editable install, so it gets the package as a folder of links; scripts for
# a peer's interpreter are left out of it.
check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	@rm -rf build/mypy && mkdir -p build/mypy/tosaic
	@for part in compiler/*.py compiler/py.typed compiler/*/ dialects lowering tools; do \
	  case $$part in *__pycache__*) continue;; esac; \
	  ln -s "../../../$${part%/}" "build/mypy/tosaic/$$(basename $$part)"; done
	@test ! -d runtime/python || ln -s ../../../runtime/python build/mypy/tosaic/runtime
	MYPYPATH=build/mypy $(BIN)/mypy -p tosaic --exclude /bench/peer_
	$(BIN)/python -m tosaic.tools.gen_docs --check

lit: venv
	$(BIN)/lit --workers $(JOBS) --quiet test

# The runtime's C and C++ under clang-tidy, with the checks of .clang-tidy; `nightly` runs it where
# it is installed.
tidy: venv
	cmake --preset host -DTOSAIC_PYTHON="$$(pwd)/$(BIN)/python" >/dev/null
	cmake --build build/host --target tosa_accessors >/dev/null
	run-clang-tidy -quiet -j $(JOBS) -p build/host '/runtime/(src|kernels)/'

# Which operators are taken in which dtypes, tried on PyTorch's own samples: a table.
opinfo: venv
	$(BIN)/python test/opinfo/opinfo_report.py --jobs $(JOBS)

# The peer's figures are stored in tools/bench/data; measuring it anew needs the `bench` extra.
bench: venv
	$(BIN)/python tools/bench/compile_race.py

docs: venv
	$(BIN)/python -m tosaic.tools.gen_docs

clean:
	rm -rf build dist demo-out bench-out keywords-out tuned .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
