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
O := build$(if $(SAN),/$(subst $(comma),-,$(SAN)))
comma := ,
