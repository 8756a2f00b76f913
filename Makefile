# Everything is one `cargo xtask` line; what a command does is said in xtask/src. `make help` lists them.

CARGO ?= cargo
STAMP := target/dependencies
# `make run RELEASE=1` builds longer and serves faster. By default what the tests build is used.
RELEASE ?=

.PHONY: help run test check bench-gate bench-durable bench-replication bench-rows bench-names compare-names fuzz

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STAMP) ## Build everything and start the gate on a private cluster with the example
	@$(CARGO) xtask run $(if $(RELEASE),--release)

test: $(STAMP)-test ## Run every test, on private clusters
	@$(CARGO) xtask test

check: $(STAMP) ## Check format, lints, documentation, licences and advisories
	@$(CARGO) xtask check

bench-gate: $(STAMP)-test ## Measure the gate beside pgbench, PostGraphile and a minimal gate in Node
	@$(CARGO) xtask bench-gate

bench-names: $(STAMP)-test ## Measure the analysis of names beside pgspot
	@$(CARGO) xtask bench-names

compare-names: $(STAMP)-test ## Say what postern check, pgspot, splinter and plpgsql_check find, miss and report wrongly
	@$(CARGO) xtask bench-names -- compare

fuzz: $(STAMP) ## Run the fuzz target of the analyser for ten minutes (SECONDS=…, SANITIZER=1)
	@$(CARGO) xtask fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SANITIZER),--sanitizer)

bench-durable: $(STAMP)-test ## Measure durable functions beside graphile-worker, pg-boss, DBOS and Absurd
	@$(CARGO) xtask bench-durable

bench-replication: $(STAMP) ## Measure rows and DDL with the rules of replication and without
	@$(CARGO) xtask bench-replication --release

bench-rows: $(STAMP) ## Measure reads under row security, PostgreSQL's own and ours
	@$(CARGO) xtask bench-rows

# What must come from the system. Looked for again when the list of it changes.
$(STAMP): xtask/dependencies
	@xtask/dependencies
	@mkdir -p $(@D) && touch $@

$(STAMP)-test: xtask/dependencies
	@xtask/dependencies test
	@mkdir -p $(@D) && touch $@
