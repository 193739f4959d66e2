# Everything happens in a virtual environment of this folder; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PIP := -m pip install --quiet --disable-pip-version-check
# Nothing is installed whose SHA-256 is not in constraints.txt, and nothing is built but the project itself.
HASHED := $(PIP) --require-hashes --only-binary=:all: --requirement
OWN := $(PIP) --no-deps --no-build-isolation

FAST := $(addprefix tests/unit/,bundle comparison domain jobs packages settings transfers) tests/contract/test_clocks.py \
	tests/contract/test_memory_platform.py tests/contract/test_facade_memory.py

LOWEST := .venv-lowest
LOWEST_BIN := $(LOWEST)/$(notdir $(BIN))
TOOLS := build/tools
TOOLS_BIN := $(TOOLS)/$(notdir $(BIN))
LOWEST_TOOLS := hypothesis packaging pandas pytest-xdist sybil trustme

# Workers that tests start run each script in a process of its own: make test FORK_SERVER=off.
ifeq ($(FORK_SERVER),off)
export XFWORKER_WORKER_FORK_SERVER := false
endif

# Tests start hundreds of processes; without byte code each of them would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-fast test-windows lowest docs pictures check bench constraints clean simulate model supply sbom fuzz coverage mutation breaks faults chaos chaos-cluster control-groups

help:
	@echo "make demo         run the demonstration: a phantom through a small workflow, checked against the known answer"
	@echo "make test         install the test extra and run all tests; with FORK_SERVER=off workers fork no script"
	@echo "make test-windows the tests of what differs on Windows, under a Windows Python in wine"
	@echo "make test-fast    the tests that need no server, in about a minute"
	@echo "make lowest       the unit tests with the lowest versions that pyproject.toml allows"
	@echo "make supply       build the wheel twice and compare: the same source gives the same bytes"
	@echo "make sbom         the bill of materials of the wheel (CycloneDX), its licences and known weaknesses"
	@echo "make simulate     play simulated laboratories in which everything goes wrong: SEED=1, and JOBS=100000 or HOURS=8 for more seeds; YEAR=1 plays a whole year, or its first DAYS"
	@echo "make model        random commands of many clients, compared with a small model of the rules: EXAMPLES=1000"
	@echo "make coverage     which lines and branches of the rules no test reaches; fails where there is one"
	@echo "make mutation     break the code of PATHS in every small way, and say which breaks no test notices: PATHS=FILE"
	@echo "make breaks       break the product in places that were chosen, and say which breaks no test notices"
	@echo "make chaos        the queue while its database is killed, restarted, cut off and slow (Linux)"
	@echo "make chaos-cluster RUNS=40  a workflow on Slurm, PostgreSQL and S3 that are disturbed, against one machine"
	@echo "make control-groups  control groups of scripts, under a kernel of their own (Linux with user-mode-linux)"
	@echo "make fuzz         mutate what each parser reads, guided by coverage (Linux): SECONDS=60 for each, UP_TO=10000000 in all; TURN=COMMIT for the one parser whose turn it is"
	@echo "make faults       let each call of the disk, the database and the network fail in turn, in short stories"
	@echo "make docs         build the site: docs/_build/index.html"
	@echo "make pictures     make the pictures of README.md and the docs anew"
	@echo "make check        ruff, mypy --strict, import-linter"
	@echo "make bench        every benchmark in its quick form"
	@echo "make constraints  write constraints.txt: the versions in use, and the hashes of all their files (asks the package index)"
	@echo "make clean        remove the virtual environment and caches"

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "xfworker needs Python 3.11 or newer, and $(PYTHON) is %d.%d; try: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed-%: $(VENV)/created pyproject.toml constraints.txt .ci/requirements
	$(BIN)/python .ci/requirements '$*+build' > $(VENV)/requirements-$*.txt
	$(BIN)/python $(HASHED) $(VENV)/requirements-$*.txt
	$(BIN)/python $(OWN) --editable .
	@touch $@

# What looks at the project from outside stays in an environment of its own.
$(TOOLS)/installed: $(VENV)/created pyproject.toml constraints.txt .ci/requirements
	$(PYTHON) -m venv --clear $(TOOLS)
	$(BIN)/python .ci/requirements supply > $(TOOLS)/requirements.txt
	$(TOOLS_BIN)/python $(HASHED) $(TOOLS)/requirements.txt
	@touch $@

demo: $(VENV)/installed-cli+server
	$(BIN)/xfworker demo

test: $(VENV)/installed-test
	$(BIN)/python -m pytest --numprocesses 3 --dist worksteal

# Builds its environment in .venv-windows once; wine itself comes from the system (on Debian: apt install wine).
test-windows: $(VENV)/installed-test
	$(BIN)/python -m tests.windows.run $(WINDOWS_TESTS)

# What needs no server, no other process and no large image: a minute on two cores.
test-fast: $(VENV)/installed-test
	$(BIN)/python -m pytest --numprocesses 2 $(FAST)

# What is stated as the least must be enough. uv resolves to it; it stays in an environment of its own. The tests of
# images compare with other programs, which are not a part of that.
lowest: $(TOOLS)/installed
	$(PYTHON) -m venv --clear $(LOWEST)
	$(TOOLS_BIN)/uv pip install --quiet --python $(LOWEST_BIN)/python --resolution lowest-direct --editable '.[all]'
	$(TOOLS_BIN)/uv pip install --quiet --python $(LOWEST_BIN)/python $(LOWEST_TOOLS)
	$(LOWEST_BIN)/python -m pytest --numprocesses 2 --ignore tests/unit/images tests/unit tests/e2e/test_run_command.py

supply: $(VENV)/installed-build
	rm -rf build/first build/second
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/first .
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/second .
	$(BIN)/python -c 'import pathlib, sys; a, b = (next(pathlib.Path("build", n).glob("*.whl")).read_bytes() for n in ("first", "second")); sys.exit(None if a == b else "two wheels of one source differ: unpack build/first and build/second and compare")'

# The bill of materials of what a user installs: the wheel with all extras, in an environment of its own.
sbom: supply $(TOOLS)/installed
	$(PYTHON) -m venv --clear build/installed
	$(BIN)/python .ci/requirements all > build/requirements-all.txt
	build/installed/$(notdir $(BIN))/python $(HASHED) build/requirements-all.txt
	build/installed/$(notdir $(BIN))/python $(PIP) --no-deps build/first/*.whl
	build/installed/$(notdir $(BIN))/python .ci/sbom $(TOOLS_BIN)

SEED ?= 1
JOBS ?= 0
HOURS ?= 0

# Without JOBS and HOURS the one seed's story is printed. With YEAR=1 each seed is a laboratory's year, or its first DAYS.
simulate: $(VENV)/installed-test
	$(BIN)/python -m tests.simulation $(if $(YEAR),--year $(if $(DAYS),--days $(DAYS))) --seed $(SEED) --jobs $(JOBS) --hours $(HOURS)

EXAMPLES ?= 100

model: $(VENV)/installed-test
	$(BIN)/python -m tests.model --examples $(EXAMPLES)

# The worker and its executor run scripts in processes of their own, in seconds and on this machine alone.
COVERED ?= tests/unit tests/contract tests/integration/test_job_executor.py

coverage: $(VENV)/installed-test
	$(BIN)/python -m tests.branches --write docs/trust.md --numprocesses 2 $(COVERED)

PATHS ?= xfworker/services/platform/access.py

mutation: $(VENV)/installed-test
	$(BIN)/python -m tests.mutation $(PATHS) --write docs/trust.md

# Some minutes, as each break has a process of its own.
breaks: $(VENV)/installed-test
	$(BIN)/python -m tests.mutation.breaks --write docs/trust.md

SECONDS ?= 60
UP_TO ?=
TURN ?=

# Whatever is found is kept in build/fuzz, and belongs into tests/fuzz/findings once it is mended.
fuzz: $(VENV)/installed-test+fuzz
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(UP_TO),--up-to $(UP_TO)) $(if $(TURN),--turn $(TURN),--write docs/trust.md)

# Some of them are a part of the tests.
faults: $(VENV)/installed-test
	XFWORKER_FAULTS_AT_EACH_CALL=1 $(BIN)/python -m pytest --numprocesses 2 tests/faults

# Where PostgreSQL's wheel is (Linux). The figures stand in docs/trust.md.
chaos: $(VENV)/installed-test
	$(BIN)/python -m tests.chaos --write docs/trust.md

RUNS ?= 200

# Linux, as root, with slurmctld, slurmd, slurm-client and munge of Debian.
chaos-cluster: $(VENV)/installed-test
	$(BIN)/python -m tests.chaos.cluster --runs $(RUNS) --seed $(SEED) --write docs/trust.md

# Where Debian's user-mode-linux is; some minutes. The machine's own groups and files are left alone.
control-groups: $(VENV)/installed-test
	$(BIN)/python -m tests.kernel

# Warnings are errors. The search of the site works without a server: open docs/_build/index.html.
docs: $(VENV)/installed-all+docs
	$(BIN)/python -m sphinx --builder html --quiet --fail-on-warning --keep-going docs docs/_build
	@echo "the site is docs/_build/index.html"

# What README.md and the docs show, made anew: the phantom by the demo, the page and its viewer in a browser.
pictures: $(VENV)/installed-test
	$(BIN)/xfworker demo --out build/demo
	cp build/demo/phantom_bone.png docs/pictures/
	$(BIN)/python -m tests.page.pictures
	$(BIN)/python -m tests.page.viewer_pictures docs/pictures

check: $(VENV)/installed-test+check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory --jobs 2 --output-sync types-linux types-win32 types-darwin

# Two at a time, because each takes a third of a minute of one core.
types-%:
	$(BIN)/mypy --platform $* --cache-dir .mypy_cache/$*

bench: $(VENV)/installed-bench+test
	$(BIN)/python -m benchmarks.startup --quick
	$(BIN)/python -m benchmarks.images --quick
	$(BIN)/python -m benchmarks.transfers --quick
	$(BIN)/python -m benchmarks.server --quick
	$(BIN)/python -m benchmarks.server_costs --quick
	$(BIN)/python -m benchmarks.viewer --quick
	$(BIN)/python -m benchmarks.page --quick

# The versions in use, and what is pinned of all others; uv resolves for all systems and asks for the hashes.
constraints: $(VENV)/created $(TOOLS)/installed
	$(BIN)/python .ci/constraints $(TOOLS_BIN)/uv

clean:
	rm -rf $(VENV) $(LOWEST) docs/_build docs/reference/command-line.md .venv-windows .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist xf-results
