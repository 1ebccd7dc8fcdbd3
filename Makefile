# Each command sets up all that it needs below this directory: .venv and .cache are ignored by git, and safe to remove.
# Needs python3 >= 3.11 with venv. `make run` and `make test` fetch the servers that are not on PATH (tools/get_server.sh).

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
WHEEL := .cache/wheel-venv
SOURCES := $(shell find ctemplate -name '*.py' -o -name '*.lark') pyproject.toml README.md LICENSE
# Most live tests wait for servers: more workers than cores. A file of tests stays with one worker, and so do its servers.
PARALLEL := -n 4 --dist loadfile
SERVERS := consul etcd zookeeper-server nginx nginx-stream haproxy keepalived systemd-analyze patch ip strace dockerd busybox wrk
SERVER_PATH = $$PATH:/usr/sbin:/sbin:$(CURDIR)/.cache/servers/bin
PYTEST = PATH="$(SERVER_PATH)" CTEMPLATE_REQUIRE_SERVERS=1 CTEMPLATE_TEST_WHEEL=1 $(WHEEL)/bin/pytest
CATALOG ?= consul
TORTURE ?= tests
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run demo test test-eureka torture check bench clean

demo: $(VENV)/.stamp  ## Docker, Consul, register, ctemplate and nginx under load; CATALOG=docker: without Consul. Needs root
	tools/get_server.sh dockerd busybox nginx wrk ip $(if $(filter docker,$(CATALOG)),,consul) > /dev/null
	PATH="$(SERVER_PATH)" $(VENV)/bin/python demo/chain.py --catalog $(CATALOG)

run: $(VENV)/.stamp  ## the main job on the file catalog, with a real nginx
	nginx=$$(tools/get_server.sh nginx) && $(VENV)/bin/python demo/run.py --nginx "$$nginx"

# What an operator would install is what is tested: the wheel, built from the sdist, in an environment of its own.
test: lint $(WHEEL)/.stamp  ## everything, with real servers
	tools/get_server.sh $(SERVERS)
	$(PYTEST) -rsfE $(PARALLEL)

torture: $(WHEEL)/.stamp  ## in full what `make test` samples, up to an hour; prints the figures; TORTURE=PATH: a part
	tools/get_server.sh $(SERVERS)
	$(PYTEST) --torture $(TORTURE)

test-eureka: $(WHEEL)/.stamp  ## the Eureka catalog on a real server; needs Maven and a JDK 17, which get a minute to build it
	tools/get_server.sh nginx
	CTEMPLATE_EUREKA_JAR=$$(tools/get_eureka.sh) && export CTEMPLATE_EUREKA_JAR && \
	    $(PYTEST) -rs tests/live/test_eureka_server.py tests/live/contract -k eureka_server

check: lint  ## what needs no server
	$(VENV)/bin/python -m pytest $(PARALLEL) --ignore tests/live

.PHONY: lint
lint: $(VENV)/.stamp
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: $(VENV)/.stamp  ## the figures of benchmarks/RESULTS.md, half an hour; ROWS="idle once": only these
	$(VENV)/bin/python benchmarks/run_all.py $(ROWS)

clean:
	rm -rf $(VENV) .cache dist run

define venv
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "$(PYTHON) must be Python 3.11 or newer with venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(1)
	$(1)/bin/pip install --quiet --upgrade 'pip>=25.1'
endef

# Editable, for work on the code; `touch pyproject.toml` to bring it up to date.
$(VENV)/.stamp: pyproject.toml
	$(call venv,$(VENV))
	$(VENV)/bin/pip install --quiet --group dev --editable .
	$(VENV)/bin/python -m compileall -q ctemplate  # as pip does with what it copies: where Python keeps nothing, each start would
	touch $@

$(WHEEL)/.stamp: $(WHEEL)/.tools $(SOURCES)
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist . > .cache/build.log || { cat .cache/build.log; exit 1; }
	$(WHEEL)/bin/pip install --quiet --force-reinstall --no-deps dist/*.whl
	$(WHEEL)/bin/pip install --quiet dist/*.whl
	touch $@

$(WHEEL)/.tools: pyproject.toml $(VENV)/.stamp
	$(call venv,$(WHEEL))
	$(WHEEL)/bin/pip install --quiet --group test
	touch $@
