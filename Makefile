# The one index of commands: people, Molecule's users and CI call these targets and nothing else.
# Each target can be run first, on a fresh machine, and again at any time.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Everything that a target installs or writes stays inside the checkout (Docker itself excepted).
# /usr/sbin and /sbin hold dockerd and iptables, and are missing in many users' PATH.
export PATH := $(CURDIR)/.venv/bin:$(PATH):/usr/sbin:/sbin
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export ANSIBLE_HOME := $(CURDIR)/.ansible
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.ansible/collections
# Ansible insists on UTF-8, which a bare machine's shell may not have.
export LC_ALL := C.UTF-8
# No colour codes in logs; a terminal keeps them.
export ANSIBLE_NOCOLOR := $(if $(CI),1,)
# Three processes on two cores, each with a fleet of its own: half of an end-to-end test is waiting.
E2E := pytest -n 3 --dist loadscope --no-loadscope-reorder -v
# What breaks on purpose, fleets of three hosts and stacks that are taken over: as long as all the others together.
FAULTS := $(wildcard tests/e2e/test_faults_*.py) tests/e2e/test_fleet.py tests/e2e/test_adoption.py
# Further words for a runner, as in `make unit ARGS='-k planner'`.
ARGS ?=

##@ Use
.PHONY: help
help: ## List the commands.
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: lab-up ## Bring up the lab, provision, configure and deploy in it, and show the served URL.
	@DAVIT_REPORT_DIR=.lab/report ansible-playbook playbooks/site.yml
	@lab/show.sh

.PHONY: lab-up
lab-up: setup ## Start the lab: AWS, registry and host images on this machine's Docker.
	@ansible-playbook -i lab/inventory.yml playbooks/lab/up.yml

.PHONY: lab-down
lab-down: setup ## Take the lab away wholly, also after a crash; downloads are kept.
	@ansible-playbook -i lab/inventory.yml playbooks/lab/down.yml

##@ Check
.PHONY: test
test: setup ## Run the checks: lint, sanity, unit, molecule and e2e, in this order.
	@tests/run_all.sh lint sanity unit molecule e2e

.PHONY: lint
lint: setup ## Check style and types: ansible-lint, yamllint, ruff, mypy, shellcheck.
	@tests/lint.sh

.PHONY: unit
unit: setup ## Run the unit tests, the rules of this repository and the lab's own tests.
	@tests/unit.sh $(ARGS)

.PHONY: sanity
sanity: setup ## Run ansible-test sanity on an export of the working tree.
	@tests/sanity/run.sh $(ARGS)

.PHONY: molecule
molecule: lab-up ## Test each role with Molecule on systemd hosts, three scenarios at a time; SCENARIO=name runs one.
	@tests/molecule.sh $(SCENARIO)

.PHONY: e2e
e2e: lab-up ## Run the end-to-end tests in the lab, three fleets at a time, but for those of faults.
	@$(E2E) $(filter-out $(FAULTS),$(wildcard tests/e2e/test_*.py)) $(ARGS)

.PHONY: faults
faults: lab-up ## Break deploys, hosts and fleets in every phase; not part of make test, since it takes twenty minutes more.
	@$(E2E) $(FAULTS) $(ARGS)

.PHONY: bench
bench: lab-up ## Measure lost requests and times in the lab; writes docs/benchmarks.*; BENCH_DEPLOYS=2 and so on make it short.
	@requirements/venv.sh .cache/venvs/bench requirements/bench.txt
	@python -m bench

.PHONY: bench-service
bench-service: lab-up ## Measure load, latency and memory of the reference service on one core.
	@python -m bench.service

.PHONY: soak-test
soak-test: lab-up ## Run make faults three times in a row; for the night.
	@for round in 1 2 3; do echo "round $$round of 3"; $(E2E) -x $(FAULTS) $(ARGS) || exit 1; done

##@ Make
.PHONY: setup
setup: ## Install the pinned tools and collections into the checkout.
	@requirements/install.sh

.PHONY: build
build: setup ## Build the collection's archive into .cache/dist.
	@mkdir -p .cache/dist
	@ansible-galaxy collection build --force --output-path .cache/dist

.PHONY: docs
docs: setup ## Make the tables of variables in the roles' README.md out of their argument specs.
	@python docs/role_tables.py $(ARGS)

.PHONY: changelog
changelog: setup ## Make CHANGELOG.md and its data out of changelogs/fragments, for the version in galaxy.yml.
	@requirements/venv.sh .cache/venvs/changelog requirements/changelog.txt
	@.cache/venvs/changelog/bin/antsibull-changelog release --update-existing --refresh --reload-plugins $(ARGS)

.PHONY: dashboards
dashboards: setup ## Make the dashboards and the status page's questions out of their table.
	@requirements/venv.sh .cache/venvs/dashboards requirements/dashboards.txt
	@.cache/venvs/dashboards/bin/python roles/monitoring/dashboards $(ARGS)

.PHONY: known-hosts
known-hosts: ## Pin the SSH key of EC2_HOST for the workflows, in inventories/ssh/known_hosts.
	@requirements/known_hosts.sh "$(EC2_HOST)"

.PHONY: requirements
requirements: setup ## Compile requirements/*.in anew into pinned and hashed *.txt.
	@requirements/compile.sh

.PHONY: clean
clean: ## Remove tools, collections and caches of this checkout (never the lab's state).
	@rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .ansible/tmp .ansible/galaxy_cache
	@find .ansible/collections/ansible_collections -mindepth 1 -maxdepth 1 ! -name davit -exec rm -rf {} +
	@find . -path ./.lab -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
