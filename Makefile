# Vigla. `make help` lists the targets.
#
#   make                            build/vigla and build/vigla-proxy
#   make check                      unit tests; SAN=address,undefined or SAN=thread for a sanitizer build
#   make test                       everything a developer should run

.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

VERSION := 0.1.0
CC = gcc
PREFIX ?= /usr/local
CONFORMANCE_DIR ?= ../shared/conformance

# Which folder may use which (STYLE of the house: ARCHITECTURE.md, "Layers"). `make layers` checks it.
USES_base :=
USES_store := base
USES_query := store base
USES_graph := query store base
USES_mesh := base
USES_collector := store base
USES_api := collector graph query store mesh base
USES_cmd := api collector graph query store mesh base
USES_proxy := mesh base
FOLDERS := base store query graph mesh collector api cmd proxy

comma := ,
space := $(subst ,, )
O := build$(if $(SAN),/$(subst $(comma),-,$(SAN)))

# libsnappy is C++: only who uses it shall load it.
LIBS_base := -lyaml -lzstd -lz -lpcre2-8 -lm -lpthread -Wl,--push-state,--as-needed -lsnappy -Wl,--pop-state
LIBS_store := -lsqlite3
# Loops over many values: worth the vectoriser's full effort.
CFLAGS_store = $(CFLAGS_query)
CFLAGS_query := $(if $(SAN),,-O3 -fno-math-errno -fno-trapping-math)
LIBS_graph := $(shell pkg-config --libs libgvc libcgraph 2>/dev/null) -lcrypto
LIBS_collector := -ljansson -lcurl -levent_core -lcrypto -lnghttp2
LIBS_api := -lmicrohttpd -ljansson
LIBS_cmd := -ljansson -lcurl -levent_core -levent_pthreads
LIBS_proxy := -luring -levent_core -levent_pthreads -lnghttp2 -ljansson -lxxhash -lssl -lcrypto
CFLAGS_graph := $(shell pkg-config --cflags libgvc libcgraph 2>/dev/null)
# libFuzzer declares LLVMFuzzerTestOneInput nowhere.
CFLAGS_tests := -Wno-missing-prototypes

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Walloca \
	-Wformat=2 -Wwrite-strings -Wcast-qual -Wpointer-arith -Wundef -Wimplicit-fallthrough=3 -Wdate-time
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
ifeq ($(SAN),)
  WARN += -Werror
  OPT := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
else
  OPT := -O1 -g -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
endif
CFLAGS = $(OPT) $(HARDEN) $(WARN) -fno-common
CPPFLAGS = -std=gnu11 -D_GNU_SOURCE -DVIGLA_VERSION='"$(VERSION)"' -I. -MMD -MP
# Of the linkers, gold takes half the time of the usual one, and tests are many.
QUICK_LD := $(if $(shell command -v ld.gold),-fuse-ld=gold)
LDFLAGS = -pie -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN))

# A folder's archive holds all of it but the programs' main().
MAINS := cmd/main.c proxy/main.c
sources = $(filter-out $(MAINS),$(wildcard $(1)/*.c))
objects = $(patsubst %.c,$(O)/%.o,$(call sources,$(1)))
# Archives of a folder and of all it uses, in link order (users first).
archives = $(foreach f,$(1) $(USES_$(1)),$(O)/$(f).a)
libs = $(foreach f,$(1) $(USES_$(1)),$(LIBS_$(f)))

.PHONY: all
all: $(O)/vigla $(O)/vigla-proxy

$(O)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(CFLAGS_$(firstword $(subst /, ,$*))) -c -o $@ $<

define archive_rule
$(O)/$(1).a: $(call objects,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive_rule,$(f))))

$(O)/vigla: $(O)/cmd/main.o $(O)/web/assets.o $(call archives,cmd)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(call libs,cmd)

$(O)/vigla-proxy: $(O)/proxy/main.o $(call archives,proxy)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(call libs,proxy)

# --- the console -------------------------------------------------------------------------------------------------
# web/ is built once, whatever SAN says, and embedded by web/embed.py (the table web_assets of api/assets.h).
WEB_SOURCES := $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null)

build/web/dist/.done: $(WEB_SOURCES)
	@echo "  WEB   build/web/dist"
	@cd web && { [ node_modules/.package-lock.json -nt package-lock.json ] || \
		npm ci --loglevel=error --no-audit --no-fund >/dev/null; } && node build.mjs ../build/web/dist
	@touch $@

$(O)/web/assets.c: build/web/dist/.done web/embed.py
	@mkdir -p $(@D)
	@python3 web/embed.py build/web/dist $@

$(O)/web/assets.o: $(O)/web/assets.c
	@$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# --- the sample application --------------------------------------------------------------------------------------
all: $(O)/demo/guestbook/guestbook
$(O)/demo/guestbook/guestbook: $(patsubst %.c,$(O)/%.o,$(wildcard demo/guestbook/*.c)) $(O)/base.a
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ -lmicrohttpd $(LIBS_base)

# --- tests -------------------------------------------------------------------------------------------------------
# tests/unit/<folder>/<thing>_test.c is one Check program, linked with its folder and what that may use.
# UNIT="store api" builds and runs those of some folders alone.
UNIT := *
UNIT_SOURCES := $(wildcard $(foreach f,$(UNIT),tests/unit/$(f)/*_test.c))
UNIT_TESTS := $(patsubst %.c,$(O)/%,$(UNIT_SOURCES))
unit_folder = $(word 3,$(subst /, ,$(1)))

define unit_rule
$(O)/$(basename $(1)): $(O)/$(basename $(1)).o $(call archives,$(call unit_folder,$(1))) \
		$(if $(filter api cmd,$(call unit_folder,$(1))),$(O)/web/assets.o)
	@echo "  LD    $$@"
	@$$(CC) $$(LDFLAGS) $$(QUICK_LD) -o $$@ $$^ $(call libs,$(call unit_folder,$(1))) -ljansson -lcheck -lsubunit -lm -lrt -lpthread
endef
$(foreach t,$(UNIT_SOURCES),$(eval $(call unit_rule,$(t))))

.PHONY: check
check: $(UNIT_TESTS)
	@python3 tests/run.py --label "unit$(if $(SAN), ($(SAN)))" $(UNIT_TESTS)

# ThreadSanitizer on those that have threads.
.PHONY: check-threads
check-threads:
	@$(MAKE) -s SAN=thread UNIT_SOURCES="$$(python3 tests/threaded.py)" check

# A test with real processes, TEST=chaos_test, with a proxy that ends badly for what sanitizers find.
.PHONY: sanitized-proxy
sanitized-proxy:
	@$(MAKE) -s SAN=address,undefined build/address-undefined/vigla-proxy
	@VIGLA_PROXY=build/address-undefined/vigla-proxy python3 tests/e2e/$(TEST).py

# The proxy under everything at once, for TIME; VIGLA_BUILD=build/address-undefined takes what make sanitized-proxy left.
TIME ?= 60s
.PHONY: soak
soak: $(if $(VIGLA_BUILD),,$(O)/vigla-proxy)
	@/usr/bin/python3 tests/e2e/soak.py --time $(TIME)

# Directions between folders: the own folder, or the face (not -internal.h) of a folder in USES_.
.PHONY: layers
layers: $(FOLDERS:%=layers-%)
layers-%:
	@! grep -nH '^#include "' $(wildcard $*/*.[ch]) /dev/null | \
		grep -vE '"($*/[a-z0-9_-]+|($(subst $(space),|,$(or $(USES_$*),none)))/[a-z0-9_]+)\.h"'
	@! grep -nH 'sqlite3\.h' $(filter-out store/sqlite%,$(wildcard $*/*.[ch])) /dev/null

# --- fuzzing -----------------------------------------------------------------------------------------------------
# Each tests/fuzz/<thing>_fuzz.c has seeds in tests/fuzz/corpus/<thing>/. `make test` replays them under the sanitizers;
# `make fuzz` looks for new inputs with clang's libFuzzer, FUZZ_SECONDS for each target.
FUZZ_SOURCES := $(wildcard tests/fuzz/*_fuzz.c)
FUZZ_SECONDS ?= 60
FUZZ_FOLDERS := api collector graph query store proxy mesh base
FUZZ_LIBS := $(foreach f,$(FUZZ_FOLDERS),$(LIBS_$(f)))

define fuzz_rule
$(O)/$(patsubst %_fuzz.c,%_replay,$(1)): $(O)/$(1:.c=.o) $(O)/tests/fuzz/replay.o $(FUZZ_FOLDERS:%=$(O)/%.a) $(O)/web/assets.o
	@$$(CC) $$(LDFLAGS) $$(QUICK_LD) -o $$@ $$^ $(FUZZ_LIBS)
$(O)/$(1:.c=): $(O)/$(1:.c=.o) $(FUZZ_FOLDERS:%=$(O)/%.a) $(O)/web/assets.o
	@$$(CC) -pie -fsanitize=fuzzer,address,undefined -o $$@ $$^ $(FUZZ_LIBS)
endef
$(foreach t,$(FUZZ_SOURCES),$(eval $(call fuzz_rule,$(t))))

.PHONY: fuzz-corpus fuzz fuzz-run
fuzz-corpus:
	@$(MAKE) -s SAN=address,undefined fuzz-replay
.PHONY: fuzz-replay
fuzz-replay: $(patsubst %_fuzz.c,$(O)/%_replay,$(FUZZ_SOURCES))
	@python3 tests/run.py --label "fuzz corpora" $^

fuzz:
	@$(MAKE) -s CC=clang SAN=fuzzer-no-link,address,undefined fuzz-run
fuzz-run: $(patsubst %.c,$(O)/%,$(FUZZ_SOURCES))
	@for target in $^; do name=$$(basename $$target _fuzz); mkdir -p build/corpus/$$name; \
		echo "  FUZZ  $$name"; $$target -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
		build/corpus/$$name tests/fuzz/corpus/$$name 2>&1 | tail -n 12 || exit 1; done

# --- what a machine needs ----------------------------------------------------------------------------------------
DEBS := gcc libc6-dev pkg-config python3 curl openssl redis-server check chromium fonts-dejavu-core graphviz \
	libmicrohttpd-dev libjansson-dev libsqlite3-dev libevent-dev libgraphviz-dev libyaml-dev libzstd-dev \
	libpcre2-dev libxxhash-dev libssl-dev zlib1g-dev libsnappy-dev libcurl4-openssl-dev libnghttp2-dev liburing-dev \
	python3-grpcio wrk nghttp2-client
# Node.js may have come from elsewhere than Debian.
DEBS += $(if $(shell command -v node 2>/dev/null),,nodejs) $(if $(shell command -v npm 2>/dev/null),,npm)

.PHONY: deps
deps:
	@missing=$$(for p in $(DEBS); do dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || \
		echo $$p; done); \
	if [ -n "$$missing" ]; then \
		sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); echo "Installing" $$missing; \
		$$sudo apt-get update -qq && \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >build-deps.log 2>&1 || \
		{ tail -n 20 build-deps.log; echo "make deps: apt-get failed; the whole of it is in build-deps.log" >&2; exit 1; }; \
		rm -f build-deps.log; \
	fi

# --- the two commands of the README ------------------------------------------------------------------------------
# A second make, so that what `deps` has just installed is seen by the rules above.
.PHONY: up down test
up: deps
	@$(MAKE) -s -j2 all
	@exec demo/up.sh
down:
	@demo/up.sh down
test: deps
	@$(MAKE) -s -j2 all
	@CONFORMANCE_DIR=$(CONFORMANCE_DIR) python3 tests/all.py

GENERATORS := $(O)/tests/bench/event_rows $(O)/tests/bench/span_rows
$(GENERATORS): %: %.o $(O)/base.a
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_base)

.PHONY: bench
bench: all $(GENERATORS)
	@CONFORMANCE_DIR=$(CONFORMANCE_DIR) tests/bench/run.sh

# --- odds and ends -----------------------------------------------------------------------------------------------
.PHONY: lint format install help
lint:
	@clang-tidy --quiet --checks='-*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-narrowing-conversions,misc-redundant-expression,performance-*' \
		$(foreach f,$(FOLDERS),$(wildcard $(f)/*.c)) -- $(filter-out -MMD -MP,$(CPPFLAGS)) $(CFLAGS_graph)
	@shellcheck -S warning demo/*.sh tests/bench/*.sh .ci/run

format:
	@git clang-format --style=file

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/vigla \
		$(DESTDIR)$(PREFIX)/share/vigla/dashboards
	install -m 755 build/vigla build/vigla-proxy $(DESTDIR)$(PREFIX)/bin
	install -m 644 README.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/vigla
	install -m 644 dashboards/*.json $(DESTDIR)$(PREFIX)/share/vigla/dashboards

help:
	@echo "make            build/vigla and build/vigla-proxy    make up     the server, the guestbook, traffic"
	@echo "make deps       installs what is missing             make down   stops what make up started"
	@echo "make test       every test                           make check  unit tests (SAN=address,undefined)"
	@echo "make bench      measurements                         make fuzz   fuzzes each target for a minute"
	@echo "make layers     who includes whom                    make lint, make format, make install, make clean"

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(O) -name '*.d' 2>/dev/null)
