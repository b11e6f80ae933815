# SPDX-License-Identifier: MIT
# make up: a disposable VM, monitored. make test: everything. make down: the VM is gone.
SHELL := /bin/bash
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export SO1_CACHE ?= $(CURDIR)/.cache

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## Install what the controller needs: system packages and a venv
	@lab/setup.sh packages venv

up: setup ## Boot the lab VM, run site.yml against it, show what is there
	@lab/vm.py up
	@ansible-playbook lab/prepare.yml
	@ansible-playbook site.yml
	@ansible-playbook playbooks/overview.yml
	@echo "Remove the machine with: make down"

down: ## Remove the lab VM
	@lab/vm.py down

lint: setup ## Lint everything
	@lab/lint.sh

test-fast: setup ## What needs no VM and no Docker Engine
	@$(MAKE) --no-print-directory lint
	@pytest -q -m "not engine and not vm" python/tests tests

test: setup ## Everything: lint, unit, Docker Engine, kernels, the bundle on a VM
	@$(MAKE) --no-print-directory lint
	@pytest -q python/tests tests

.PHONY: help setup up down lint test test-fast
.DEFAULT_GOAL := help
