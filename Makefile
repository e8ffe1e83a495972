# Every target that has a comment of two hashes is shown by "make". Nothing here needs more than Go,
# make, git and network access for Go modules.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
# Compile jobs at once: the Kubernetes and Istio packages are large, and two fit a small machine.
JOBS ?= 2
# How long each fuzz target runs in "make fuzz".
FUZZTIME ?= 10s

export GOTOOLCHAIN := local
GOFLAGS += -buildvcs=false
export GOFLAGS

BIN := bin/sidestep
SOURCES := $(shell find api cmd internal -name '*.go' -not -name '*_test.go' 2>/dev/null) go.mod go.sum

.PHONY: help
help: ## this text
	@echo "Sidestep: which of a mesh's sidecars can go, proven."
	@echo
	@grep -hE '^[a-z][a-z-]*:.* ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.* ## (.*)/  make \1\t\2/' | expand -t 20

$(BIN): $(SOURCES)
	@echo "building $(BIN)" >&2
	@$(GO) build -p $(JOBS) -o $(BIN) ./cmd/sidestep

.PHONY: build
build: $(BIN) ## the program, in bin/sidestep

.PHONY: demo
demo: $(BIN) ## the audit of an embedded sample mesh: no cluster needed
	@$(BIN) demo

# Nested modules hold what the product must not depend on. Each is tested on its own; those that start
# a control plane have a target of their own.
MODULES := $(filter-out test/lab,$(patsubst %/go.mod,%,$(wildcard test/*/go.mod)))

.PHONY: test
test: test-unit test-modules ## every test, the lab's too: its control plane is built once, in about 13 minutes

.PHONY: test-unit
test-unit: ## the tests of the product's own module
	@echo "testing the product" >&2
	@$(GO) test -p $(JOBS) ./...

.PHONY: test-modules
test-modules: ## the tests of the nested modules, without a control plane
	@for m in $(MODULES); do echo "testing $$m (the first run downloads and compiles its dependencies)" >&2; if [ -f $$m/Makefile ]; then $(MAKE) -C $$m test; else (cd $$m && $(GO) test -p $(JOBS) ./...); fi; done

.PHONY: check
check: ## formatting, vet, linters with the purity rules, generated files, tidy modules
	@unformatted=$$(gofmt -l api cmd internal test tools); if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted"; exit 1; fi
	@$(GO) vet -p $(JOBS) ./...
	@echo "building the linters (once; about two minutes)" >&2
	@(cd tools && $(GO) build -p $(JOBS) -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
	@bin/golangci-lint run --concurrency $(JOBS) ./...
	@for m in . $(dir $(wildcard test/*/go.mod)) tools tools/generate; do (cd $$m && $(GO) mod tidy -diff) || { echo "$$m: run go mod tidy"; exit 1; }; done
	@documents() { find docs README.md api deploy -type f | sort | xargs cksum; }; before=$$(documents); $(GO) generate ./...; \
	  if [ "$$before" != "$$(documents)" ]; then echo "generated documentation was out of date; it has been written anew: look at git diff"; exit 1; fi
	@echo "all checks passed"

# How many generated meshes "make plan-campaign" plans, and from which seed on.
MESHES ?= 20000
REPORTS ?= 400
SEED ?= 2

.PHONY: plan-campaign
plan-campaign: ## prove every prefix of the plans of 20,000 generated meshes (MESHES=..., SEED=...)
	@$(GO) test ./internal/plan -run '^TestPlansOfGeneratedMeshes$$' -count 1 -timeout 24h -v -meshes $(MESHES) -seed $(SEED)

.PHONY: latency-campaign
latency-campaign: ## how often latency verdicts are wrong, over every model of noise (REPORTS=400 each)
	@$(GO) test ./internal/roi/latency -run '^(TestFalsePositivesOfAReport|TestRealChangesAreFound)$$' -count 1 -timeout 24h -v -reports $(REPORTS)

.PHONY: promise
promise: ## put every scenario and 5,000 generated meshes into their verdicts' modes and compare (MESHES=..., SEED=...)
	@$(GO) test ./internal/audit -run '^TestPromise$$' -count 1 -timeout 24h -v -every 1 -meshes $(PROMISED) -seed $(SEED)

# How many meshes "make promise" generates, unless MESHES says so.
PROMISED := $(if $(filter command line environment,$(origin MESHES)),$(MESHES),5000)

# How many disturbed runs "make apply-campaign" makes of each mesh.
RUNS ?= 200

.PHONY: apply-campaign
apply-campaign: ## carry plans out under crashes after every write, refusals, conflicts and old views (RUNS=..., SEED=...)
	@$(GO) test ./internal/live -run '^Test(ACrashAfterEveryWriteChangesNothing|DisturbedRunsEndTheSame)$$' -count 1 -timeout 24h -v -all -runs $(RUNS) -seed $(SEED)

.PHONY: bench
bench: ## speed and memory of every part, with the curves over size
	@$(GO) test -p 1 -run '^$$' -bench . -benchmem ./internal/...

.PHONY: bench-peer
bench-peer: ## this program beside istioctl analyze on the same 4,000 services: time and memory
	@cd test/peer && $(GO) run -p $(JOBS) . -root ../..

.PHONY: oracle
oracle: ## ask istiod and a real Envoy again what policies and routes mean; fails when an answer drifted
	@$(MAKE) -C test/oracle oracle

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s) each
	@$(GO) list -f '{{.Dir}}' ./internal/... | while read -r dir; do \
	  (grep -ho '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go 2>/dev/null || true) | cut -d' ' -f2 | while read -r target; do \
	    echo "fuzzing $$target in $${dir#$(CURDIR)/}" >&2; \
	    (cd "$$dir" && $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -parallel $(JOBS) . </dev/null); \
	  done; \
	done

.PHONY: clean
clean: ## remove what was built here; caches stay
	@rm -rf bin dist

# Parts that come with a nested module bring their own targets, and add themselves to the ones above
# with a line such as "test: test-lab".
-include test/*/Makefile.inc

ifneq ($(wildcard test/lab/Makefile.inc),)
test: test-lab
endif
