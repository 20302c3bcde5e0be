# One target a need; `make help` lists them. `make run` and `make test` set the machine up by themselves.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BINARY := .build/release/martlet
PYTHON := .venv/bin/python
M ?=
T ?=
B ?=
CSV ?=
SEED ?=
SECONDS ?= 60
MINUTES ?= 10
ARGS ?=

.PHONY: help bootstrap bootstrap-run release build run test unit conformance python notebooks compat golden bench crash fuzz sim soak format lint ci clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-14s %s\n", $$1, $$2}'

bootstrap: ## Debian packages and .venv with everything for tests and notebooks (idempotent)
	@Scripts/bootstrap.sh full

bootstrap-run:
	@Scripts/bootstrap.sh runtime

release: bootstrap-run ## the program, optimised: .build/release/martlet
	@Scripts/build.sh release

build: ## debug build
	@Scripts/build.sh debug

run: release ## the fraud pipeline on a node of its own; CSV=creditcard.csv for your own payments
	@exec $(BINARY) demo $(if $(CSV),--csv "$(CSV)") $(ARGS)

test: bootstrap lint unit release python compat crash notebooks ## set-up and every test
	@echo "all tests passed"

unit: ## unit tests; M=Log one module, T=name one test
	@Scripts/unit.sh "$(M)" "$(T)"

conformance: release ## ksqlDB's own cases, where they are at hand: a line a file (`make unit` holds what was reached)
	@$(BINARY) test "$${MARTLET_SHARED:-../shared}/conformance/open/qtt"

python: bootstrap release ## the Python package against a running node
	@MARTLET_REQUIRE=server,training $(PYTHON) -m pytest -q python

compat: bootstrap release ## other people's Kafka and Schema Registry clients against a running node
	@Scripts/bootstrap.sh clients
	@Scripts/with_node.sh $(PYTHON) -m pytest -q -W ignore::DeprecationWarning Compatibility/kafka-clients

crash: bootstrap release ## the whole program: kill -9 in the middle of the pipeline (every row once), full disks, signals, wrong calls
	@$(PYTHON) -m pytest -q Tests/Reliability

sim: ## a node on a simulated disk and clock, crash after crash; SEED=92 plays one history again, SECONDS=600 new ones for so long
	@Scripts/sim.sh "$(SEED)" "$(SECONDS)"

soak: bootstrap release ## clients of all kinds and kill -9 every minute; MINUTES=10
	@nice -n 5 $(PYTHON) Tests/Reliability/soak.py --minutes $(MINUTES)

notebooks: bootstrap release ## executes notebooks/ from empty
	@Scripts/run_notebooks.sh

golden: ## rewrites the reference pages that are made from the code, then shows the difference
	@MARTLET_GOLDEN=1 Scripts/unit.sh Engine ReferenceTests && MARTLET_GOLDEN=1 Scripts/unit.sh Server ReferenceTests && git diff --stat docs

bench: bootstrap ## release benchmarks against their references; B=score one of them
	@Scripts/bench.sh $(B)

fuzz: ## spoilt Kafka requests against the broker; SECONDS=60, SEED=n replays one
	@FUZZ_SECONDS=$(SECONDS) FUZZ_RECORD=$(CURDIR)/.build/fuzz.hex $(if $(SEED),SEED=$(SEED)) Scripts/unit.sh Log RequestFuzzTests \
		|| { echo "the last bytes sent are in .build/fuzz.hex; see Tests/FailCases" >&2; exit 1; }

format: ## formats the Swift sources
	@swift format --in-place --recursive Sources Tests Benchmarks Package.swift

lint: ## house rules that a machine can check
	@Scripts/lint.sh

ci: test ## what continuous integration runs

clean: ## removes build products, keeps .venv
	@rm -rf .build .build-*
