# Debian 12 or 13. What is missing is installed, as root or through sudo; nothing runs twice.
.DEFAULT_GOAL := help
SHELL := /bin/bash

release := $(shell . /etc/os-release && echo "$${VERSION_ID:-13}")
sudo := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo)

# Packages, by what needs them.
hypervisor := libvirt-daemon-system libvirt-clients libvirt-daemon-driver-qemu openvswitch-switch \
	qemu-system-x86 qemu-utils seabios ipxe-qemu ovmf iproute2
python := python3-venv python3-setuptools python3-wheel python3-click python3-libvirt python3-lxml \
	python3-pycdlib python3-pyte python3-urllib3 python3-bottle python3-hypercorn python3-prometheus-client python3-pytest \
	python3-pytest-xdist python3-hypothesis python3-requests
demo := busybox-static debian-installer-$(release)-netboot-amd64 virtinst jq
packaging := build-essential git debhelper dh-python pybuild-plugin-pyproject dpkg-dev lintian mmdebstrap \
	systemd-container
# Of initrds that tests boot, and what reads CDs; Python has the others.
compressors := lz4 lzop xorriso zstd
tested := $(hypervisor) $(python) $(demo) $(compressors) locales mandoc man-db systemd openssl ansible-core curl chromium
packages := $(tested) $(packaging)
# libvirt-python comes as source from PyPI.
newest := gcc pkg-config libvirt-dev python3-dev

# Debian's Python, even when another one comes first in PATH.
venv := /usr/bin/python3 -m venv --system-site-packages
pip := .venv/bin/python -m pip --quiet --disable-pip-version-check install --no-deps

.PHONY: help setup compiled lint unit test test-package test-newest test-debian13 bench scoreboard deb man demo shell clean

help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' Makefile | \
		while IFS=$$'\t' read -r name text; do printf '  make %-14s%s\n' "$$name" "$$text"; done

setup: .venv/.ready ## Install what is missing: packages and a virtual environment in .venv

# Both stamps are in .venv, so removing it starts from scratch.
.venv/.packages: wanted := $(packages)
.venv-newest/.packages: wanted := $(newest)
.venv/.packages .venv-newest/.packages: Makefile
	@missing=$$(comm -23 <(printf '%s\n' $(wanted) | sort -u) \
		<(dpkg-query -Wf '$${db:Status-Status} $${Package}\n' | sed -n 's/^installed //p' | sort -u)); \
	if [ -n "$$missing" ]; then \
		echo "Installing $$(echo $$missing)"; \
		$(sudo) apt-get -qq update && \
		$(sudo) env DEBIAN_FRONTEND=noninteractive \
			apt-get -qq -y --no-install-recommends install $$missing >/dev/null; \
	fi
	@mkdir -p $(@D) && touch $@

# Debian's packages serve everything but the checkers. Those come without their dependencies, of
# which mypy needs two.
.venv/.ready: .venv/.packages pyproject.toml
	@echo 'Making .venv'
	@$(venv) .venv
	@$(pip) mypy-extensions 'typing-extensions>=4.6' $$(.venv/bin/python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["lint"])')
	@# compat is a plain path; the finder that setuptools makes otherwise costs each start 11 ms.
	@$(pip) --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

# Where Python may not write compiled files (PYTHONDONTWRITEBYTECODE), each of the thousands of
# commands that tests run would compile shctl again.
compiled: setup
	@.venv/bin/python -m compileall -q shctl

lint: setup ## Check style and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

# A real Linux for guests of the tests.
.venv/linux: .venv/.packages
	@echo "Fetching Debian's cloud kernel"
	@tools/fetch-kernel $@

# With what it needs, which is newer than what the tests themselves run on.
.venv/fuzz/.ready: pyproject.toml | .venv/.ready
	@echo 'Making .venv/fuzz'
	@/usr/bin/python3 -m venv .venv/fuzz
	@.venv/fuzz/bin/python -m pip --quiet --disable-pip-version-check install \
		$$(.venv/bin/python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["fuzz"])')
	@touch $@

# Without its capabilities, root is refused what an ordinary user is refused.
unit = PYTHONDONTWRITEBYTECODE=1 $(if $(sudo),,setpriv --bounding-set=-all --inh-caps=-all) \
	$(1) -m pytest -n 2 -m 'not hypervisor'
# Two hypervisors side by side, since a test mostly waits. Each takes one file at a time.
split = -m hypervisor --dist loadfile --tx '2*popen//python=tools/throwaway $(1)'

unit: ## Run the tests that need no hypervisor and no root
	$(call unit,$(or $(wildcard .venv/bin/python),/usr/bin/python3))

test: lint compiled .venv/linux .venv/fuzz/.ready ## Check everything on two temporary hypervisors
	$(call unit,.venv/bin/python)
	.venv/bin/python -m pytest $(call split,.venv/bin/python)

# The programs that shctl is compared with, as far as PyPI has them. One that cannot be installed
# does not fail the target: its row in the table has the reason.
.venv/peers/.ready: .venv/.packages
	@echo 'Making .venv/peers'
	@$(venv) .venv/peers
	@for peer in kcli sushy-tools; do \
		.venv/peers/bin/python -m pip --quiet --disable-pip-version-check install $$peer \
			2>.venv/peers/$$peer.log || echo "$$peer cannot be installed"; \
	done
	@touch $@

bench: compiled .venv/peers/.ready ## Compare shctl with other programs, and print one table
	@tools/throwaway .venv/bin/python -m benchmarks

scoreboard: compiled .venv/linux ## Run the scoreboard's tests in full, and write docs/scoreboard.md
	SHCTL_ROUNDS=50 tools/throwaway .venv/bin/python -m pytest --scoreboard=docs/scoreboard.md

# Slow, and outside of any throw-away hypervisor, which has no network to install from.
test-package: deb ## Install the packages in a clean Debian 12 and 13, and purge them again
	$(sudo) .venv/bin/python -m pytest --confcutdir=tests/package \
		tests/package/installed.py

# Without faults, races, leftovers and whole systems: no version of a library shows in those.
quick := --ignore=tests/reliability --ignore=tests/test_throwaway.py --ignore=tests/test_linux.py \
	--ignore=tests/rest/test_outages.py --ignore=tests/rest/test_unattended.py \
	--ignore=tests/doctor/test_doctor.py --ignore=tests/doctor/test_races.py \
	--deselect=tests/rest/test_described.py::test_random_requests_after_the_description

# The other end of what pyproject.toml allows. Debian's versions are what .venv has.
.venv-newest/.ready: .venv-newest/.packages pyproject.toml
	@echo 'Making .venv-newest'
	@/usr/bin/python3 -m venv .venv-newest
	@.venv-newest/bin/python -m pip --quiet --disable-pip-version-check install --upgrade \
		--editable '.[server,test]'
	@touch $@

test-newest: setup .venv-newest/.ready .venv/linux ## Run the quick tests on the newest libraries from PyPI
	$(call unit,.venv-newest/bin/python) $(quick)
	.venv-newest/bin/python -m pytest $(call split,.venv-newest/bin/python) $(quick)

# With libvirt 11, a second change of a host whose QEMU hangs waits for the first one without limit.
known := --deselect=tests/frontends/test_disks.py::test_a_hung_qemu
# Only the kernel is this machine's own.
test-debian13: setup .venv/linux ## Run the quick tests in a clean Debian 13, on its own libraries
	$(sudo) .venv/bin/python -m tests.package.quick trixie \
		$(subst installer-$(release)-,installer-13-,$(tested)) -- $(quick) $(known)

deb: setup ## Build the Debian packages into dist, and check them with lintian
	tools/deb dist

man: setup ## Generate the man pages and docs/openapi.json
	.venv/bin/python tools/man.py
	.venv/bin/python tools/openapi.py

demo: compiled ## Show the main features on a temporary hypervisor
	@tools/throwaway env PATH="$(CURDIR)/.venv/bin:$$PATH" tools/demo

shell: setup ## Open a shell on a temporary hypervisor
	@tools/throwaway bash --rcfile "$(CURDIR)/tools/shell" -i

clean: ## Remove what the other targets made in this directory
	rm -rf .venv .venv-newest build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
