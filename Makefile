# SPDX-License-Identifier: MIT
# make look: this host, seen. make up: a disposable VM, monitored; make down: it is gone. make test: everything.
SHELL := /bin/bash
VENV := .venv
export SO1_CACHE ?= $(CURDIR)/.cache
export PATH := $(CURDIR)/$(VENV)/bin:$(SO1_CACHE)/binaries/usr/bin:$(PATH):/usr/local/sbin:/usr/sbin:/sbin
# dockerd needs root, and so do mounts.
ROOT := $(if $(filter-out 0,$(shell id -u)),sudo --preserve-env env PATH="$$PATH")

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

look: ## Show this host's processes and containers; needs Python 3.11, no root, VM or Docker
	@scripts/look.sh

setup: ## Install what the controller needs: system packages and a venv
	@scripts/setup.sh machine venv

setup-tests: ## Install what the tests need besides
	@scripts/setup.sh tests venv binaries

image: setup ## Build the lab VM's image, once
	@lab/vm.py image

up: ## Boot the lab VM, run site.yml against it, show what is there
	@lab/up.py

down: ## Remove the lab VM
	@lab/vm.py down

lint: setup-tests ## Lint everything
	@scripts/lint.sh

test-fast: lint test-unit ## What needs no VM and no Docker Engine (and root once, for packages)

test: ## Everything: lint, unit, Docker Engine, kernels, VMs; SO1_UNCHANGED=skip leaves out what is proven
	@python3 -m scripts.prove

test-unit: setup-tests ## The part of test-fast that is not lint
	@pytest -q -m "not engine and not root" tests

test-engine: setup-tests ## What needs root: a Docker Engine of its own, small disks, other users
	@$(ROOT) pytest -q -m "engine or root" tests

test-kernel: setup-tests ## The modules on stock kernels and on a debug kernel
	@$(MAKE) --no-print-directory -C kernel/tests test

test-molecule: setup-tests ## The whole bundle on a VM: from an empty host to an empty host
	@molecule test

test-fleet: setup-tests ## Two VMs, one of which watches both
	@molecule test -s fleet

test-draw: setup-tests ## Every dashboard, drawn by Grafana's own front-end libraries
	@grafana/draw/setup.sh
	@pytest -q tests/draw

collection: setup ## Build the Ansible collection so1.so1 into dist/
	@python -m scripts.collection

sanity: setup-tests ## Check the collection by ansible-test sanity, and list what each of its tests found
	@python -m scripts.sanity

draw: setup ## Draw every dashboard into grafana/pictures
	@scripts/setup.sh binaries
	@grafana/draw/setup.sh
	@cd grafana && PYTHONPATH=.. python -m draw

bench: ## Measure on a VM against BPF, psutil, ps and two exporters; writes docs/benchmark.md
	@scripts/setup.sh machine bench venv
	@python3 benchmarks/host/run.py

bench-fleet: setup-tests ## Simulate up to 1,000 hosts; writes docs/fleet-scale.md
	@$(ROOT) python -m benchmarks.fleet

bench-grafana: setup ## Time every query of the dashboards on a week of history; fails from 50 ms on
	@python -m benchmarks.dashboards

bench-replay: setup ## Time so1 replay on thirty days of history; fails above 10 s
	@python -m benchmarks.replay

bench-tick: setup ## Time the parts of a tick with 10,000 processes and 100 containers; fails where a bound is not kept
	@python -m benchmarks.tick

bench-limiter: setup-tests ## What the memory limiter costs, on a kernel with and without it
	@$(MAKE) --no-print-directory -C kernel/tests bench KERNEL=linux-image-cloud-amd64

.PHONY: help look collection sanity draw test-draw setup setup-tests image up down lint test test-fast test-unit test-engine test-kernel test-molecule test-fleet bench bench-fleet bench-grafana bench-replay bench-tick bench-limiter
.DEFAULT_GOAL := help
