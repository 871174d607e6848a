# The steps of continuous integration, by name. `make test` is the whole of it.

GO      ?= go
PKGS    := gcc libc6-dev openssl mosquitto-clients python3-boto3 python3-paho-mqtt awscli strace curl ca-certificates bubblewrap jq git make systemd
# How long: each fuzz target, hostile sessions, the load of a fleet.
FUZZ    ?= 60s
HOSTILE ?= 3m
SOAK    ?= 5m
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

DIST    ?= dist
# What is released, as GOARCH with the variant of arm after it.
TARGETS ?= amd64 arm64 armv7

.PHONY: build demo test check unit e2e tools fuzz bench soak arm release clean

build: ## a static binary in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/muster ./cmd/muster

demo: build ## watch devices being registered
	bin/muster demo

test: tools check unit e2e ## everything

tools: ## what the tests need, where it is missing
	@dpkg -s $(PKGS) >/dev/null 2>&1 && test -x /usr/bin/aws || { \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PKGS); }
	@command -v node >/dev/null && command -v npm >/dev/null || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm; }
	@cd e2e/testdata/devicesdk && test node_modules/.package-lock.json -nt package-lock.json || npm ci --ignore-scripts --no-audit --no-fund

check: ## format, vet, staticcheck
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }
	CGO_ENABLED=0 $(GO) vet ./...
	CGO_ENABLED=0 $(GO) tool staticcheck ./...

unit: ## all packages, with the race detector; without it what counts allocations or waits for aws-cli
	CGO_ENABLED=1 $(GO) test -race -timeout 20m -skip '^TestCLI$$' $$($(GO) list ./... | grep -v '/e2e$$')
	CGO_ENABLED=0 $(GO) test -count=1 -run 'NotAllocate|^TestCLI$$' $$($(GO) list ./... | grep -v '/e2e$$')

e2e: build ## the program, with clients that others wrote
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 20m ./e2e

fuzz: build ## every fuzz target for FUZZ each, then whole hostile sessions for HOSTILE against the program
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZ) -fuzzminimizetime 10x $$p; done; done
	MUSTER_HOSTILE_TIME=$(HOSTILE) CGO_ENABLED=0 $(GO) test -count=1 -v -timeout 24h -run '^TestHostileSessions$$' ./e2e

soak: build ## a fleet and its trouble for SOAK, revocations of thousands, half a minute of synced registrations
	SOAK=$(SOAK) CGO_ENABLED=0 $(GO) test -tags soak -count=1 -v -timeout 24h -run '^Test(Soak|Kick)' ./e2e
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench 'Register64/memtable=32MiB' -benchtime 400000x -timeout 30m ./registry/badgerdb
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench 'Enrol' -benchtime 350000x -timeout 30m ./registry

arm: ## the demo on the other platforms, under an emulator
	@dpkg -s qemu-user-static >/dev/null 2>&1 || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-user-static; }
	CGO_ENABLED=0 GOARCH=arm64 $(GO) build -trimpath -o bin/muster-arm64 ./cmd/muster && qemu-aarch64-static bin/muster-arm64 demo
	CGO_ENABLED=0 GOARCH=arm GOARM=7 $(GO) build -trimpath -o bin/muster-armv7 ./cmd/muster && qemu-arm-static bin/muster-armv7 demo

bench: ## figures: registrations, connects, memory, the API at a million certificates
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench . -benchmem -timeout 2h ./registry/... ./policy ./broker ./api/awsiot

# The version is that of the git tag or commit, so that this needs a clone. Two
# runs of one commit by one Go version make the same bytes.
release: ## archives for linux with checksums and bills of materials, in dist/
	@rm -rf $(DIST) && mkdir -p $(DIST)/extra/man1 $(DIST)/extra/completions
	@set -e; for t in $(TARGETS); do \
	  echo "building $$t"; \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$${t%v[0-9]} GOARM=$$(expr $$t : 'armv\([0-9]\)$$') GOFLAGS= \
	  $(GO) build -trimpath -buildvcs=true -o $(DIST)/build/$$t/muster ./cmd/muster; done
	@CGO_ENABLED=0 GOFLAGS= $(GO) build -trimpath -buildvcs=true -o $(DIST)/build/host/muster ./cmd/muster
	@$(DIST)/build/host/muster man $(DIST)/extra/man1 > /dev/null
	@set -e; for s in bash zsh fish; do $(DIST)/build/host/muster completion $$s > $(DIST)/extra/completions/muster.$$s; done
	@cp -r deploy $(DIST)/extra/deploy
	@$(GO) run ./internal/release -out $(DIST) -with $(DIST)/extra $(TARGETS:%=$(DIST)/build/%/muster)
	@rm -rf $(DIST)/build $(DIST)/extra

clean:
	rm -rf bin $(DIST)
