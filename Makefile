# Everything a person needs to work on mifvif. See CONTRIBUTING.md.
GO      ?= go
LINT     = $(GO) tool -modfile=tools/go.mod golangci-lint
FUZZTIME ?= 10s

.PHONY: build test race lint fuzz scenarios bench

build:
	$(GO) build -o bin/mifvif ./cmd/mifvif

# The scenarios come last and alone: one of them floods what namespaces share.
test:
	$(GO) test -timeout 15m $$($(GO) list ./... | grep -v lab/scenario)
	$(GO) test -timeout 20m ./lab/scenario

race:
	$(GO) test -race -timeout 20m ./...

lint:
	$(LINT) run ./...

fuzz:
	./.ci/fuzz $(FUZZTIME)

scenarios: build
	./bin/mifvif lab run

# What the parts cost, then what whole paths reach (half an hour, root).
bench: build
	$(GO) test -run '^$$' -bench . -benchmem ./...
	./bin/mifvif bench --table README.md --charts bench/charts
