# SPDX-License-Identifier: Apache-2.0
# make            the program, at build/release/walback
# make check      unit tests; check-it: integration tests against real servers
# make demo       a database replicated, destroyed and brought back; test: all of scripts/test.sh
# make nightly    every server, long fuzzing; bench: the figures of README
# make install    to PREFIX (/usr/local), below DESTDIR; uninstall; dist: build/walback-VERSION.tar.gz
# make asan tsan coverage fuzz lint format clean: see docs/development.md
NAME    := walback
# The tag in a clone, the VERSION file in a tarball, also inside somebody else's repository.
VERSION := $(if $(wildcard .git),$(shell git describe --tags --dirty --match 'v*' 2>/dev/null | sed 's/^v//'))
ifeq ($(VERSION),)
VERSION := $(shell cat VERSION)
endif

PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
DESTDIR ?=
INSTALL ?= install
PKG_CONFIG ?= pkg-config
PKGS    ?= sqlite3 libcurl libcrypto libxml-2.0 libzstd liblz4 libxxhash jansson yaml-0.1 libmicrohttpd
MODE    ?= release
O       := build/$(MODE)

# CFLAGS and LDFLAGS belong to the user; ours are kept apart so that
# `make CFLAGS=-O0` never drops a warning or a hardening flag.
CFLAGS  ?= -O2 -g
try      = $(shell echo 'int x;' | $(CC) -Werror $(1) -x c -c - -o /dev/null 2>/dev/null && echo $(1))

WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wvla -Walloca -Wundef \
	-Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wredundant-decls \
	-Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference -Wdouble-promotion \
	-Wframe-larger-than=32768
WARN += $(foreach f,-Wcast-align=strict -Wformat-signedness -Wduplicated-cond \
	-Wduplicated-branches -Wlogical-op -Wmissing-variable-declarations,$(call try,$(f)))

HARD := -fPIE -fstack-protector-strong -fno-common -fno-strict-aliasing
HARD += $(foreach f,-fstack-clash-protection -fcf-protection=full \
	-mbranch-protection=standard -fstrict-flex-arrays=3 \
	-ftrivial-auto-var-init=zero,$(call try,$(f)))
LINKHARD := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed

MODEFLAGS.release  := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
MODEFLAGS.clang    := $(MODEFLAGS.release)
MODEFLAGS.debug    := -O0 -g3
MODEFLAGS.asan     := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODEFLAGS.tsan     := -O1 -g -fsanitize=thread
MODEFLAGS.coverage := -O0 -g --coverage
MODEFLAGS.fuzz     := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
MODEFLAGS := $(MODEFLAGS.$(MODE))

ALL_CPPFLAGS := -I. -D_GNU_SOURCE $(shell $(PKG_CONFIG) --cflags $(PKGS)) $(CPPFLAGS)
ALL_CFLAGS   := -std=gnu11 $(WARN) $(HARD) $(CFLAGS) $(MODEFLAGS) -pthread
ALL_LDFLAGS  := $(LINKHARD) $(LDFLAGS) $(filter -fsanitize% --coverage,$(MODEFLAGS)) -pthread
LDLIBS       := $(shell $(PKG_CONFIG) --libs $(PKGS))
UNIT_LIBS     = $(shell $(PKG_CONFIG) --libs cmocka)
UNIT_CFLAGS   = $(shell $(PKG_CONFIG) --cflags cmocka)

DIRS     := base wal s3 agent agent/config agent/store agent/swap agent/restore agent/replicate agent/run cmd
SRC      := $(sort $(wildcard $(DIRS:%=%/*.c)))
LIBSRC   := $(filter-out cmd/main.c,$(SRC))
UNITS    := $(sort $(wildcard tests/unit/test_*.c))
FUZZERS  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCHES  := $(sort $(wildcard tests/bench/*.c))
ITS      := $(sort $(wildcard tests/it/*.c))
FORMATTED = $(SRC) $(UNITS) $(FUZZERS) $(ITS) $(wildcard $(DIRS:%=%/*.h) tests/unit/*.h tests/bench/*.c tests/fault/*.c)
OBJ      := $(SRC:%.c=$O/%.o)
LIBOBJ   := $(LIBSRC:%.c=$O/%.o)
UNITBIN  := $(UNITS:%.c=$O/%)
FUZZBIN  := $(FUZZERS:%.c=$O/%)
BENCHBIN := $(BENCHES:%.c=$O/%)
ITBIN    := $(ITS:%.c=$O/%)

ifneq ($(V),1)
Q := @
say = @printf '  %-5s %s\n' $(1) $(2);
endif

all: $O/$(NAME)

$O/$(NAME): $O/cmd/main.o $O/lib.a
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$O/lib.a: $(LIBOBJ)
	$(call say,AR,$@) rm -f $@ && $(AR) rcs $@ $^

# The version is compiled into one file only, so that a new tag rebuilds one object.
$O/cmd/version.o: ALL_CPPFLAGS += -D'WALBACK_VERSION="$(VERSION)"'
$O/cmd/version.o: $O/.version

# Product code alone is compiled with banned.h in front.
$O/%.o: %.c $O/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(ALL_CPPFLAGS) -include base/banned.h $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$O/tests/unit/%: tests/unit/%.c $O/lib.a
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(ALL_CPPFLAGS) $(UNIT_CFLAGS) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< $O/lib.a $(UNIT_LIBS) $(LDLIBS)

# Programs that the integration tests run on the library.
$O/tests/it/%: tests/it/%.c $O/lib.a
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(ALL_CPPFLAGS) $(UNIT_CFLAGS) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< $O/lib.a $(UNIT_LIBS) $(LDLIBS)

$O/tests/fuzz/%: tests/fuzz/%.c $O/lib.a
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $< $O/lib.a $(LDLIBS)

# Against the same libraries as the program, all of them linked.
$O/tests/bench/%: tests/bench/%.c $O/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) -Wl,--no-as-needed -o $@ $< $(LDLIBS)

# A library that makes the n-th write, fsync, rename or link fail.
$O/tests/fault/%.so: tests/fault/%.c $O/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) -D_GNU_SOURCE $(WARN) $(CFLAGS) -fPIC -shared -o $@ $< -ldl

# Rebuild when the flags or the version change, not only when a source does.
stamp = @mkdir -p $O; echo '$(subst ','\'',$(1))' | cmp -s - $@ || echo '$(subst ','\'',$(1))' > $@
$O/.flags: FORCE
	$(call stamp,$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS))
$O/.version: FORCE
	$(call stamp,$(VERSION))

FAULTLIB := $(patsubst %.c,$O/%.so,$(wildcard tests/fault/*.c))
unit-build: $O/$(NAME) $(UNITBIN)
it-build: $O/$(NAME) $(FAULTLIB) $(ITBIN)

check: unit-build
	@for t in $(UNITBIN); do $$t || exit 1; done

asan tsan:
	$(Q)$(MAKE) MODE=$@ check

FUZZ_TIME ?= 30
fuzz:
	$(Q)$(MAKE) MODE=fuzz CC=clang fuzz-run
fuzz-build: $(FUZZBIN)
fuzz-run: $(FUZZBIN)
	@printf '%s\n' $(FUZZBIN:$O/tests/fuzz/fuzz_%=%) | xargs -P2 -I@ sh -c '$O/tests/fuzz/fuzz_@ \
		-max_total_time=$(FUZZ_TIME) -timeout=10 -rss_limit_mb=1024 -artifact_prefix=$O/@- \
		$O/corpus-@ tests/fuzz/corpus/@ >$O/@.log 2>&1 || { tail -40 $O/@.log; exit 255; }; \
		echo "@: $$(tail -1 $O/@.log)"'
$(FUZZBIN): | $(FUZZERS:tests/fuzz/fuzz_%.c=$O/corpus-%)
$O/corpus-%:
	@mkdir -p $@

PYTHON ?= python3
check-it: it-build
	$(PYTHON) -m pytest -q -rs tests/it -m 'not nightly'

# Units and the quick integration tests on an instrumented build, then the floors.
coverage:
	$(Q)$(MAKE) MODE=coverage coverage-run
coverage-run: unit-build it-build
	@find $O -name '*.gcda' -delete
	@for t in $(UNITBIN); do $$t >$O/units.log 2>&1 || { tail -40 $O/units.log; exit 1; }; done
	WALBACK_BIN=$O/$(NAME) WALBACK_FAULT_LIB=$O/tests/fault/fault.so $(PYTHON) -m pytest -q tests/it -m 'not slow and not nightly and not timing' || \
		echo 'some tests fail on the unoptimised build: what they cover counts, check-it judges'
	scripts/dev/coverage.py

test:
	scripts/test.sh

nightly: all
	scripts/dev/test-tools.sh versitygw toxiproxy-server litestream-0.3.13 litestream-0.5.17 s3s-fs rclone
	$(MAKE) fuzz FUZZ_TIME=60
	$(PYTHON) -m pytest -q -rs tests/model tests/it
	$(PYTHON) tests/model/fencing.py --seconds 600

demo:
	scripts/demo.sh

bench: all $(BENCHBIN)
	$(PYTHON) tests/bench/bench.py

lint:
	scripts/dev/check-layers.sh
	clang-format --dry-run -Werror $(FORMATTED)
	printf '%s\n' $(SRC) | xargs -P2 -I@ sh -c \
		'out=$$(clang-tidy --quiet @ 2>/dev/null) || { printf "%s\n" "$$out"; exit 1; }'
	mandoc -Tlint -Wwarning cmd/man/*.1
	scripts/dev/check-docs.sh
	scripts/dev/check-promises.sh
	shellcheck -x scripts/*.sh scripts/dev/*.sh .ci/run

format:
	clang-format -i $(FORMATTED)

# What is checked in, from the tables; make lint compares.
completion: $O/$(NAME)
	$O/$(NAME) completion bash >cmd/completion/$(NAME).bash

install: $O/$(NAME)
	$(INSTALL) -D -m 0755 $O/$(NAME) '$(DESTDIR)$(BINDIR)/$(NAME)'
	$(INSTALL) -d '$(DESTDIR)$(MANDIR)/man1' && $(INSTALL) -m 0644 cmd/man/*.1 '$(DESTDIR)$(MANDIR)/man1/'
	$(INSTALL) -D -m 0644 cmd/completion/$(NAME).bash '$(DESTDIR)$(BASHCOMPDIR)/$(NAME)'

uninstall:
	rm -f '$(DESTDIR)$(BINDIR)/$(NAME)' '$(DESTDIR)$(BASHCOMPDIR)/$(NAME)' \
		$(patsubst cmd/man/%,'$(DESTDIR)$(MANDIR)/man1/%',$(wildcard cmd/man/*.1))

# What is committed, with its version in VERSION.
DIST := $(patsubst %-dirty,%,$(VERSION))
dist:
	@mkdir -p build/dist
	$(Q)echo '$(DIST)' >build/dist/VERSION
	$(call say,TAR,build/$(NAME)-$(DIST).tar.gz) git archive --prefix='$(NAME)-$(DIST)/' \
		--add-file=build/dist/VERSION -o 'build/$(NAME)-$(DIST).tar.gz' HEAD -- . ':(exclude)VERSION'

clean:
	rm -rf build

FORCE:
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all check unit-build asan tsan fuzz fuzz-build fuzz-run lint format completion install uninstall dist clean \
	check-it it-build coverage coverage-run test nightly demo bench FORCE
-include $(OBJ:.o=.d) $(UNITBIN:=.d) $(FUZZBIN:=.d) $(ITBIN:=.d)
