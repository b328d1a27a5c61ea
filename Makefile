# `make` alone says what there is. Every target sets up .venv first, once; it is made again when it
# was interrupted or the folder has moved, and brought up to date when pyproject.toml or
# constraints.txt changes. PYTHON=/path/to/python3 chooses the Python.

.DEFAULT_GOAL := help
.PHONY: help setup train lab test test-changed build check-build test-peers test-browser
.PHONY: test-cgroup test-container test-release
.PHONY: site slides test-site test-live seconds book test-book
.PHONY: mutants bench speedrun links package colab push-colab clean FORCE

ARGS =
PORT = 8888
PY = .venv/bin/python
UV = uv
PIP = PIP_USER=no $(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt
RUN_TESTS = $(PY) -m pytest
ALL_TESTS = --nbval --nbval-current-env tests $(wildcard solutions)

# A reader's own settings must not change what is built or tested.
unexport PYTHONPATH PYTHONHOME
# Compiled modules are kept: some hundred processes load them.
unexport PYTHONDONTWRITEBYTECODE
OURS = build check-build test test-changed test-peers test-browser test-release site slides \
	test-site test-live seconds book test-book
$(OURS): export IPYTHONDIR := $(CURDIR)/.venv/settings/ipython
$(OURS): export JUPYTER_CONFIG_DIR := $(CURDIR)/.venv/settings/jupyter
$(OURS): export JUPYTER_DATA_DIR := $(CURDIR)/.venv/settings/jupyter-data
$(OURS): export MPLCONFIGDIR := $(CURDIR)/.venv/settings/matplotlib
# Several notebooks run at a time, and the order of a sum depends on the number of threads.
$(OURS): export OPENBLAS_NUM_THREADS := 1
$(OURS): export OMP_NUM_THREADS := 1
$(OURS): export MKL_NUM_THREADS := 1

help:
	@echo 'make setup        only set up .venv, as every other target does first: two minutes'
	@echo 'make train        train a GPT on data/shakespeare.txt and print a sample'
	@echo 'make lab          open the book, chapter 0, in JupyterLab'
	@echo 'make test         run the tests: code style, fresh builds, units, notebooks; ten minutes'
	@echo 'make test-changed the tests of what differs from the last commit: a minute, for one layer'
	@echo 'make build        build notebooks, exercises, solutions and the package from book/'
	@echo 'make check-build  prove that the built files are those of book/'
	@echo 'make test-peers   compare with PyTorch and others (installs them: a large download)'
	@echo 'make test-browser open the book in JupyterLab and a Chromium that is installed here'
	@echo 'make site         build the book for the web into out/site (its set-up needs npm, once)'
	@echo 'make test-site    look at every page of it in a Chromium that is installed here'
	@echo 'make slides       slides of each chapter, in out/slides (with the set-up of make site)'
	@echo 'make test-live    run every chapter and exercise in its page, in that Chromium; an hour'
	@echo 'make seconds      measure how long the slow cells take there'
	@echo 'make book         the book as PDF and EPUB, and its exercises to print, in out/book'
	@echo 'make test-book    look at every page of them'
	@echo 'make test-cgroup  try the grader with control groups, in a Linux of its own'
	@echo 'make test-container try the grader in a container, with podman or docker'
	@echo 'make test-release try what a release needs: the workflows, the package on its own'
	@echo 'make mutants      change answers by rule, and see that each is noticed'
	@echo 'make bench        measure our speed beside theirs, on an idle machine'
	@echo 'make speedrun     train the best model of five minutes: benchmarks/speedrun says by which rules'
	@echo 'make links        see whether the links to other places still lead somewhere'
	@echo 'make package      the wheel and the source archive, in out/dist'
	@echo 'make colab        the notebooks with a first cell for Colab, in out/colab'
	@echo 'make clean        remove .venv and the caches; your work and out/ stay'
	@echo
	@echo 'ARGS="..." goes to the program: make train ARGS="--max_iters 500", make build ARGS="03"'

setup: .venv/.installed

train: .venv/.installed
	$(PY) -m numpygpt train $(ARGS)

lab: .venv/.installed
	$(PY) -m coursekit.lab --port=$(PORT) $(ARGS)

build: .venv/.installed
	$(PY) -m coursekit build $(ARGS)

check-build: .venv/.installed
	$(PY) -m coursekit build --check $(ARGS)

# Beside the build, another process finds the tests: pytest rewrites their asserts when it first reads
# them, and four workers would do so four times.
test: .venv/.installed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@$(RUN_TESTS) $(ALL_TESTS) --collect-only -qq >/dev/null 2>&1 & \
		echo "$(PY) -m coursekit build --check" && $(PY) -m coursekit build --check && wait
	$(RUN_TESTS) $(ALL_TESTS) -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-changed: .venv/.installed
	$(PY) tests/changed.py $(ARGS)

test-peers: .venv/.installed-peers
	$(RUN_TESTS) tests/peers $(ARGS)

test-browser: .venv/.installed-browser
	$(RUN_TESTS) tests/browser $(ARGS)

test-cgroup: .venv/.installed
	tests/cgroup/run

# ENGINE=docker where both are here; BUILD_OPTIONS: what a build needs on this machine besides.
test-container: .venv/.installed
	$(RUN_TESTS) tests/container $(ARGS)

# TAG=v1.0.0: it must be the version that the files name, and nothing may be missing for a release.
test-release: export RELEASE_TAG := $(TAG)
test-release: .venv/.installed-release
	$(RUN_TESTS) tests/release $(ARGS)

site: .venv/.installed-site
	@$(PY) site/assets.py
	$(PY) site/build.py

slides: .venv/.installed-site
	@$(PY) site/assets.py
	$(PY) site/slides/build.py

test-site: .venv/.installed-browser site slides
	@$(PY) site/assets.py --tests
	$(RUN_TESTS) tests/site $(ARGS)

test-live: .venv/.installed-browser
	@$(PY) site/assets.py
	$(RUN_TESTS) tests/live $(ARGS)

book: .venv/.installed-paper
	$(PY) -m paper

test-book: book
	$(RUN_TESTS) tests/paper $(ARGS)

seconds: .venv/.installed-browser
	@$(PY) site/assets.py
	LIVE_SECONDS=site/live/seconds.json $(RUN_TESTS) tests/live -k seconds -s $(ARGS)

mutants: .venv/.installed
	$(PY) tests/mutants $(ARGS)

bench: .venv/.installed-peers
	$(PY) benchmarks/bench.py $(ARGS)

speedrun: .venv/.installed
	$(PY) benchmarks/speedrun/run.py $(ARGS)

links: .venv/.installed
	$(PY) -m coursekit.links $(ARGS)

package: .venv/.installed-release
	rm -rf out/dist
	$(PY) -m build --outdir out/dist

colab: .venv/.installed
	$(PY) -m coursekit.colab out/colab

# A branch of one commit, which holds nothing else: readers who clone the book do without it.
push-colab: export GIT_INDEX_FILE := $(CURDIR)/out/colab.index
push-colab: colab
	rm -f out/colab.index
	git --work-tree=out/colab add --all --force .
	git push -q --force origin "$$(git -c user.name=make -c user.email=make@localhost commit-tree \
		"$$(git write-tree)" -m "The notebooks of $$(git rev-parse HEAD), for Colab"):refs/heads/colab"

clean:
	rm -rf .venv build numpygpt.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv is several times as fast as pip. Where it fails, pip tries: it reads other settings.
define INSTALL
install() { \
	if command -v "$(UV)" >/dev/null 2>&1; then \
		"$(UV)" pip install -q --python $(PY) -c constraints.txt "$$@" && return; \
		echo "uv could not do it: trying pip"; \
	fi; \
	$(PIP) "$$@"; \
}
endef

# .venv/.installed holds the folder that .venv was made in. .venv/.installing is there from the
# first step to the last: where it is found, a set-up was interrupted.
ifneq "$(shell cat .venv/.installed 2>/dev/null)" "$(CURDIR)"
.venv/.installed: FORCE
endif
# Through the environment, so that the folder's name may hold a space or a quote.
.venv/.installed: export FOLDER := $(CURDIR)
.venv/.installed: export PYTHON := $(PYTHON)

.venv/.installed: pyproject.toml constraints.txt
	@set -e; $(INSTALL); \
	fail() { echo "make: $$*" >&2; exit 1; }; \
	recent() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; \
	python=$$PYTHON; \
	if [ -n "$$python" ]; then \
		recent "$$python" || fail "PYTHON=$$python: not there, or older than Python 3.11"; \
	else \
		for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
			if recent "$$name"; then python=$$name; break; fi; \
		done; \
		[ -n "$$python" ] || fail "no Python 3.11 or later found; install one from python.org," \
			"or name yours: make PYTHON=/path/to/python3"; \
	fi; \
	[ ! -L .venv ] || fail ".venv is a link: what it leads to belongs to another folder;" \
		"remove the link, or run .venv/bin/python yourself"; \
	"$$python" -c 'import venv, ensurepip' 2>/dev/null || fail "$$python comes without venv or" \
		"pip; on Debian and Ubuntu: sudo apt install python3-venv"; \
	if [ -e .venv/.installing ] || { [ -e .venv ] && ! recent $(PY); } || \
		{ [ -e .venv/.installed ] && [ "$$(cat .venv/.installed)" != "$$FOLDER" ]; }; then \
		echo "the .venv here is unfinished, broken or moved: starting again"; \
		touch .venv/.installing; \
		find .venv -mindepth 1 ! -path .venv/.installing -delete; \
	fi; \
	echo "setting up .venv with $$("$$python" --version), about a minute, once"; \
	mkdir -p .venv; \
	touch .venv/.installing; \
	rm -f .venv/.installed; \
	[ -x $(PY) ] || "$$python" -m venv .venv; \
	$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null; \
	install -e '.[dev]' || fail "set-up failed: see above for the reason, then run make again"; \
	MPLCONFIGDIR=$$FOLDER/.venv/settings/matplotlib $(PY) -c 'import matplotlib.font_manager'; \
	echo "$$FOLDER" > .venv/.installed; \
	rm .venv/.installing

# .venv/.installed keeps its time, or each extra would make the others look old.
.venv/.installed-peers: WHAT := PyTorch and others
.venv/.installed-browser: WHAT := playwright
.venv/.installed-release: WHAT := actionlint and others
.venv/.installed-site: WHAT := Sphinx
.venv/.installed-paper: WHAT := pandoc and typst
.venv/.installed-%: .venv/.installed
	@set -e; $(INSTALL); \
	echo "adding $(WHAT) to .venv, a large download, once"; \
	touch .venv/.installing; \
	mv .venv/.installed .venv/.was-installed; \
	install -e '.[dev,$*]' || { echo "make: $(WHAT) could not be installed" >&2; exit 1; }; \
	mv .venv/.was-installed .venv/.installed; \
	touch $@; \
	rm .venv/.installing
