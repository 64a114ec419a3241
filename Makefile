# run: the server with demo data.  test: all tests on both databases.  test-browser: the console in Chromium.
# CI=true make test: as .ci/run does it, each test on one of the databases only, with fewer examples; see tests/database.py.
# HYPOTHESIS_PROFILE=long make test: with all examples.
# screenshots: writes the pictures of the console in docs/. Needs Chromium.
# lint: style, types, migrations.  lint-openapi: two linters of OpenAPI, by Node.js.  bench: benchmarks.
# licenses: writes docs/licenses.md.  audit: known vulnerabilities.  lock: writes the requirements files.

.DELETE_ON_ERROR:  # an incomplete .env must not stay

PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
# Arguments of pytest or the benchmarks: make test ARGS="tests/pools -k pop"
ARGS ?=
# Processes that run tests. On two cores a third one makes them slower.
TESTERS ?= 2

.PHONY: run free-port test test-browser screenshots lint lint-openapi bench licenses lock audit

run: free-port .venv/.run .env
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py collectstatic --no-input --verbosity 0
	@$(BIN)/python manage.py demo --port $(PORT) --remember .venv/demo.env

# Before anything else: a second server on the port would get some of the requests of the first.
free-port:
	@$(PYTHON) keygen_site/ports.py "$(PORT)"

# Runs on both databases even if the first fails, to show whether an error is specific to one.
test: .venv/.dev
	@failed=0; \
	for database in sqlite postgresql; do \
		echo "== $$database"; \
		$(BIN)/python -m pytest -n $(TESTERS) --dist worksteal --database $$database $(ARGS) || failed=1; \
	done; \
	exit $$failed

test-browser: .venv/.dev
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		{ echo "Chromium is missing. On Debian: apt-get install chromium" >&2; exit 1; }
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/browser $(ARGS)

screenshots: .venv/.dev
	$(BIN)/python -m pytest -q --database sqlite tests/browser/sheet.py

lint: export DEBUG = true
lint: export ENV_FILE = /dev/null
lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/python manage.py makemigrations --check --dry-run

# Fails on warnings too. Needs Node.js 20 or newer and a network: npx installs the linters, outside of the repository.
lint-openapi: export DEBUG = true
lint-openapi: export ENV_FILE = /dev/null
lint-openapi: export DJANGO_SETTINGS_MODULE = keygen_site.settings
lint-openapi: export REDOCLY_TELEMETRY = off
lint-openapi: .venv/.run
	@$(BIN)/python -c 'import json, django; django.setup(); \
		from keygen_site.jsonapi.openapi.generator import build; print(json.dumps(build(), indent=1))' > .venv/openapi.json
	npx --yes @redocly/cli@2.77.0 lint --extends recommended-strict .venv/openapi.json
	npx --yes @stoplight/spectral-cli@6.16.3 lint --ruleset .spectral.yaml --fail-severity hint .venv/openapi.json

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

# The Python of .venv must be new enough: one that was made with an older Python stays what it is.
VERSION_CHECK := import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, and %s is \
	Python %s. Remove .venv and set PYTHON, for example: rm -rf .venv; PYTHON=python3.12 make run" \
	% (sys.executable, sys.version.split()[0]))

.venv/.run: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -c '$(VERSION_CHECK)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -c '$(VERSION_CHECK)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/.dev: .venv/.run requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
