# run: the server with demo data.  test: all tests on both databases.  test-browser: the console in Chromium.
# CI=true make test: with as many examples of Hypothesis as .ci/run has. HYPOTHESIS_PROFILE=long make test: with all.
# lint: style, types, migrations.  bench: benchmarks.  licenses: writes docs/licenses.md.  audit: known vulnerabilities.
# lock: writes the requirements files.

.DELETE_ON_ERROR:  # an incomplete .env must not stay

PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
# Arguments of pytest or the benchmarks: make test ARGS="tests/pools -k pop"
ARGS ?=

.PHONY: run test test-browser lint bench licenses lock audit

run: .venv/.run .env
	$(BIN)/python manage.py migrate --verbosity 0
	$(BIN)/python manage.py collectstatic --no-input --verbosity 0
	$(BIN)/python manage.py quickstart --address http://127.0.0.1:$(PORT)
	$(BIN)/python manage.py serve --port $(PORT) --workers 2

# Runs on both databases even if the first fails, to show whether an error is specific to one.
test: .venv/.dev
	@failed=0; \
	for database in sqlite postgresql; do \
		echo "== $$database"; \
		$(BIN)/python -m pytest -n 2 --dist worksteal --database $$database $(ARGS) || failed=1; \
	done; \
	exit $$failed

test-browser: .venv/.dev
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		{ echo "Chromium is missing. On Debian: apt-get install chromium" >&2; exit 1; }
	$(BIN)/python -m pytest tests/browser $(ARGS)

lint: export DEBUG = true
lint: export ENV_FILE = /dev/null
lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/python manage.py makemigrations --check --dry-run

bench: .venv/.dev
	$(BIN)/python -m benchmarks $(ARGS)

# Writes docs/licenses.md.
licenses: .venv/.dev
	$(BIN)/python -m tests.dependency_licenses

# Writes requirements.txt and requirements-dev.txt, with hashes, from the .in files. Versions stay as they are unless an
# .in file has another one; make lock ARGS=--upgrade takes the newest of what these need. Needs a network.
lock: .venv/.lock
	for name in requirements requirements-dev; do \
		.venv/.lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--custom-compile-command "make lock" --output-file $$name.txt $(ARGS) $$name.in || exit 1; \
	done

.venv/.lock:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8

# Lists known vulnerabilities of the packages in requirements.txt. Needs a network.
audit: .venv/.audit
	.venv/.audit/bin/pip-audit --requirement requirements.txt --no-deps --disable-pip --strict

.venv/.audit:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1

.env:
	@umask 077; secret=$$($(PYTHON) -c "import secrets; print(secrets.token_urlsafe(50))"); \
	sed "s/^SECRET_KEY=.*/SECRET_KEY=$$secret/" .env.example > $@
	@echo "Created .env with a random SECRET_KEY."

.venv/.run: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/.dev: .venv/.run requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
