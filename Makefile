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

LIBS_base := -lzstd -lz -lpcre2-8 -lm -lpthread
LIBS_store := -lsqlite3
LIBS_graph := $(shell pkg-config --libs libgvc libcgraph 2>/dev/null)
LIBS_mesh := -lyaml
LIBS_collector := -ljansson
LIBS_api := -lmicrohttpd -ljansson
LIBS_cmd := -ljansson -lcurl -levent_core -levent_pthreads
LIBS_proxy := -levent_core -levent_pthreads -lssl -lcrypto
CFLAGS_graph := $(shell pkg-config --cflags libgvc libcgraph 2>/dev/null)

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
		npm ci --silent --no-audit --no-fund; } && node build.mjs ../build/web/dist
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
UNIT_SOURCES := $(wildcard tests/unit/*/*_test.c)
UNIT_TESTS := $(patsubst %.c,$(O)/%,$(UNIT_SOURCES))
unit_folder = $(word 3,$(subst /, ,$(1)))

define unit_rule
$(O)/$(basename $(1)): $(O)/$(basename $(1)).o $(call archives,$(call unit_folder,$(1))) \
		$(if $(filter api cmd,$(call unit_folder,$(1))),$(O)/web/assets.o)
	@echo "  LD    $$@"
	@$$(CC) $$(LDFLAGS) -o $$@ $$^ $(call libs,$(call unit_folder,$(1))) -lcheck -lsubunit -lm -lrt -lpthread
endef
$(foreach t,$(UNIT_SOURCES),$(eval $(call unit_rule,$(t))))

.PHONY: check
check: $(UNIT_TESTS)
	@python3 tests/run.py --label "unit$(if $(SAN), ($(SAN)))" $(UNIT_TESTS)

# Directions between folders: the own folder, or the face (not -internal.h) of a folder in USES_.
.PHONY: layers
layers: $(FOLDERS:%=layers-%)
layers-%:
	@! grep -nH '^#include "' $(wildcard $*/*.[ch]) /dev/null | \
		grep -vE '"($*/[a-z0-9_-]+|($(subst $(space),|,$(or $(USES_$*),none)))/[a-z0-9_]+)\.h"'
	@! grep -nH 'sqlite3\.h' $(filter-out store/sqlite%,$(wildcard $*/*.[ch])) /dev/null

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(O) -name '*.d' 2>/dev/null)
