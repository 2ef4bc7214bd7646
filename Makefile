# Everything a person needs to work on mifvif. See CONTRIBUTING.md.
GO      ?= go
PREFIX  ?= /usr/local
LINT     = $(GO) tool -modfile=tools/go.mod golangci-lint
FUZZTIME ?= 10s

.PHONY: build install uninstall test race lint fuzz scenarios bench

build:
	$(GO) build -o bin/mifvif ./cmd/mifvif

bin/mifvif:
	$(MAKE) build

# The binary, its systemd unit and the completions of shells, below DESTDIR if that
# is set. What is built already is not built again, as root. Nothing is started.
BIN  = $(DESTDIR)$(PREFIX)/bin/mifvif
UNIT = $(DESTDIR)$(PREFIX)/lib/systemd/system/mifvif.service
BASH = $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mifvif
ZSH  = $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_mifvif
FISH = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/mifvif.fish
install: bin/mifvif
	install -D bin/mifvif $(BIN)
	install -D -m 644 cmd/mifvif/mifvif.service $(UNIT)
	sed -i 's|@bindir@|$(PREFIX)/bin|' $(UNIT)
	mkdir -p $(dir $(BASH) $(ZSH) $(FISH))
	bin/mifvif completion bash >$(BASH)
	bin/mifvif completion zsh >$(ZSH)
	bin/mifvif completion fish >$(FISH)

uninstall:
	rm -f $(BIN) $(UNIT) $(BASH) $(ZSH) $(FISH)

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
