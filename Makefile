# Vitrine. `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# What is dear to make is kept here, keyed by content (docs/data-directory.md).
export VITRINE_CACHE_DIR ?= /var/cache/vitrine
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD := 1

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Root is needed for namespaces, cgroups, the bridge and the image build.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E env "PATH=$(PATH)" "HOME=$(HOME)")
ARGS ?=

AGENT := internal/agentbin/dist/vitrine-agent
INIT := internal/agentbin/dist/vitrine-init
TINY := internal/runtime/firecracker/tiny/dist/tiny
GO_SOURCES := $(shell find . -name '*.go' -not -path './web/node_modules/*' -not -path './e2e/node_modules/*') go.mod go.sum
WEB_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' 2>/dev/null)

.PHONY: help run dev build agent web test test-all test-go test-firecracker test-kernel test-faults test-e2e check bench deps runsc image deb clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: deps-run build runsc ## set up what is missing, then start the daemon on port 4000 (ARGS="…" for its flags)
	@$(AS_ROOT) ./bin/vitrine image build desktop
	@$(AS_ROOT) ./bin/vitrine serve $(ARGS)

dev: deps-run build runsc ## the daemon with Vite's live page (http://localhost:4000)
	@cd web && (npx vite --port 5173 --strictPort & echo $$! > /tmp/vitrine-vite.pid); trap 'kill $$(cat /tmp/vitrine-vite.pid)' EXIT; \
	$(AS_ROOT) ./bin/vitrine image build desktop && $(AS_ROOT) ./bin/vitrine serve --dev=true --web-dev=http://localhost:5173 $(ARGS)

build: bin/vitrine ## bin/vitrine, with the agent and the page inside it

agent: $(AGENT) $(INIT) ## the guest programs alone

web: web/dist/index.html ## the page alone

bin/vitrine: $(AGENT) $(INIT) $(TINY) web/dist/index.html $(GO_SOURCES)
	@echo "building bin/vitrine"
	@mkdir -p bin && go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/vitrine

# The agent is linked whole, so that it runs in any image.
$(AGENT): $(shell find internal/agent internal/agentproto cmd/vitrine-agent -type f 2>/dev/null) go.mod
	@scripts/deps.sh build
	@echo "building the agent"
	@mkdir -p $(@D) && CGO_ENABLED=1 go build -trimpath -tags netgo,osusergo \
	  -ldflags '-s -w -X main.version=$(VERSION) -extldflags=-static' -o $@.tmp ./cmd/vitrine-agent && mv $@.tmp $@

# The tiny guest is linked where a virtual machine's kernel begins, without the
# headers before it and without what a kernel has no use of.
$(TINY): $(wildcard guest/tiny/*)
	@scripts/deps.sh build
	@echo "building the tiny guest"
	@mkdir -p $(@D) && gcc -Os -ffreestanding -nostdlib -static -no-pie -fno-pic -fno-stack-protector -fcf-protection=none \
	  -fno-asynchronous-unwind-tables -mno-red-zone -mgeneral-regs-only -Wall -Wextra -Werror -s \
	  -Wl,-N,-Ttext=0x100000,--build-id=none,--no-warn-rwx-segments -o $@.tmp guest/tiny/start.S guest/tiny/guest.c && mv $@.tmp $@

# The first program of a virtual machine lies in memory at every start: no cgo.
$(INIT): $(shell find internal/guestinit internal/agentproto cmd/vitrine-init -type f 2>/dev/null) go.mod
	@echo "building the virtual machines' init"
	@mkdir -p $(@D) && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $@.tmp ./cmd/vitrine-init && mv $@.tmp $@

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@echo "installing the page's packages"
	@cd web && npm ci --no-audit --no-fund --loglevel=error

web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	@echo "building the page"
	@cd web && npm run --silent build

e2e/node_modules/.package-lock.json: e2e/package.json e2e/package-lock.json
	@cd e2e && npm ci --no-audit --no-fund --loglevel=error

.PHONY: deps-run deps-test
deps-run:
	@scripts/deps.sh run
deps-test:
	@scripts/deps.sh run
	@scripts/deps.sh test

runsc: ## gVisor's runsc, pinned, built from source into the cache
	@$(AS_ROOT) scripts/build-runsc.sh

image: build deps-run ## the golden desktop image, into the cache
	@$(AS_ROOT) ./bin/vitrine image build desktop

test: deps-test build runsc e2e/node_modules/.package-lock.json ## everything that can be tested here, really run
	@$(AS_ROOT) ./bin/vitrine image build desktop && $(AS_ROOT) ./bin/vitrine image build tiny
	@$(MAKE) --no-print-directory test-go test-e2e
	@test -n "$(FIRECRACKER_BIN)" || echo "firecracker: skipped: no firecracker binary (make test-firecracker FIRECRACKER_BIN=… JAILER_BIN=…)"

# Packages run one at a time: runtimes, bridges and databases share the host.
test-go:
	$(AS_ROOT) env VITRINE_REQUIRE_POSTGRES=1 go test -p 1 -timeout 20m $(shell go list ./... 2>/dev/null | grep -v '/e2e$$')

test-kernel: ## the Linux of test-firecracker for hosts whose KVM emulates, into the cache
	@$(AS_ROOT) scripts/test-kernel.sh

# FIRECRACKER_SWAGGER may name Firecracker's API description besides.
test-firecracker: $(AGENT) $(INIT) $(TINY) ## the firecracker runtime on the real programs (FIRECRACKER_BIN, JAILER_BIN)
	@test -x "$(FIRECRACKER_BIN)" && test -x "$(JAILER_BIN)" || { echo "FIRECRACKER_BIN and JAILER_BIN must name the two programs of a Firecracker release"; exit 1; }
	$(AS_ROOT) env FIRECRACKER_BIN="$(FIRECRACKER_BIN)" JAILER_BIN="$(JAILER_BIN)" FIRECRACKER_SWAGGER="$(FIRECRACKER_SWAGGER)" \
	  go test -count=1 -timeout 60m ./internal/runtime/kvm ./internal/runtime/firecracker/...

test-faults: deps-test build runsc ## everything that can go wrong, really made: each failure, 300 kills, 1,000 sessions, load; prints the README's table
	@$(AS_ROOT) ./bin/vitrine image build desktop
	$(AS_ROOT) env VITRINE_TEST_FULL=1 VITRINE_REQUIRE_POSTGRES=1 go test -count=1 -v -timeout 90m ./faults

test-e2e: build e2e/node_modules/.package-lock.json
	$(AS_ROOT) go test -count=1 -timeout 20m ./e2e

test-all: test ## test, then whole desktops in QEMU, the fuzzers for a minute each and the race detector
	$(AS_ROOT) env VITRINE_TEST_FULL=1 go test -count=1 -timeout 60m ./internal/runtime/qemu
	$(AS_ROOT) env VITRINE_E2E_RUNTIME=qemu go test -count=1 -timeout 40m ./e2e
	@scripts/fuzz.sh 60s
	$(AS_ROOT) go test -p 1 -race -timeout 40m $(shell go list ./... 2>/dev/null | grep -vE '/e2e$$')

check: build ## formatting, linters, types, drift of generated files
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	go tool -modfile=tools/lint/go.mod golangci-lint run ./...
	cd web && npm run --silent gen:check && npm run --silent lint && npm run --silent format:check && npm run --silent typecheck && npm test --silent

bench: build deps-run deps-test runsc image ## the published figures, on this host: starts and streaming
	@$(AS_ROOT) ./bin/vitrine bench $(ARGS)

deb: build runsc ## the Debian package, into dist/
	@packaging/build-deb.sh bin/vitrine "$$(scripts/build-runsc.sh --path)" dist

clean: ## what the build made here; the cache stays
	rm -rf bin dist $(AGENT) $(INIT) $(TINY) web/node_modules e2e/node_modules
	find web/dist -mindepth 1 -not -name .gitkeep -delete
