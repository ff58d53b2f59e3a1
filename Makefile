# What the README names. Each target gets what it needs first; none leaves anything running.

CARGO ?= cargo
# One set of features for linting and testing, so that nothing is compiled twice.
FEATURES := --workspace --features pawl/failpoints
# Most of a test is waiting: for a lease, a grace, a database. Two for each of two cores take half as long as one.
THREADS := 4

.PHONY: help demo test lint bench fuzz torture upgrade servers clients

help: ## Say what there is (this is what a bare `make` does)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Rotate a real PostgreSQL and a real MariaDB account every few seconds, and watch
	@scripts/setup-servers postgres mariadb
	$(CARGO) run --locked -- demo

test: servers clients ## Run all tests, over private PostgreSQL, PgBouncer, MariaDB, MySQL and Redis servers, with AWS's own clients
	RUST_TEST_THREADS=$(or $(RUST_TEST_THREADS),$(THREADS)) $(CARGO) test --locked $(FEATURES) --no-fail-fast

lint: ## Check the formatting, and clippy with warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked $(FEATURES) --all-targets -- -D warnings

bench: ## Measure, each figure beside a baseline of the same run
	@scripts/setup-servers postgres
	$(CARGO) bench --locked --package pawl

fuzz: ## Look for inputs that break something, five minutes a target (TARGET=router, SECONDS=60)
	@scripts/fuzz $(or $(SECONDS),300) $(TARGET)

torture: servers clients ## A thousand nodes killed at random (KILLS), a hundred rotations under 64 readers (SHAPE=mysql), the whole fault matrix, thousands of simulated seeds (SEEDS), fuzzing
	PAWL_TEST_KILLS=$(or $(KILLS),1000) $(CARGO) test --locked $(FEATURES) --test it -- --nocapture torture::
	PAWL_TEST_ROTATIONS=100 $(CARGO) test --locked $(FEATURES) --test it -- --test-threads 3 $(or $(SHAPE),readers::)
	PAWL_FAULT_MATRIX=all $(CARGO) test --locked $(FEATURES) --test it -- faults::every_step
	PAWL_SIM_SEEDS=$(or $(SEEDS),5000) PAWL_SIM_SECRETS=2000 PAWL_SIM_OPS=2000 $(CARGO) test --locked --package store --test sim
	@scripts/fuzz $(or $(SECONDS),1800) $(TARGET)

upgrade: servers ## An earlier commit's binary (REF=HEAD~1) and this one serve the same stores, in turn and side by side
	@scripts/upgrade $(REF)

servers: ## Get what the tests run against (demo and test do it by themselves)
	@scripts/setup-servers

clients: ## Get the clients that the tests are driven with: AWS's SDKs and its CLI (test does it by itself)
	@scripts/setup-clients
