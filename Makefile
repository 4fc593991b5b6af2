# GNU make. CC, CFLAGS, CPPFLAGS, LDFLAGS, PREFIX and DESTDIR are yours; everything built goes to build/.

CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
PKG_CONFIG ?= pkg-config
INSTALL ?= install
# V=1 shows the commands.
say = $(if $(V),,@echo '  $1 $@';)

VERSION := $(shell awk '/define EVQ_VERSION_(MAJOR|MINOR|PATCH)/ { v = v s $$3; s = "." } END { print v }' include/evq.h)
SOVERSION := $(word 1,$(subst ., ,$(VERSION)))
B := build

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-prototypes $(WERROR)
BASE_FLAGS = -std=c11 -D_GNU_SOURCE -Iinclude $(WARN) $(CPPFLAGS) $(CFLAGS) -pthread
LIBS = -llmdb -pthread

.PHONY: all check check-programs check-suites check-san check-tsan check-nofutex check-valgrind fuzz bench demo install uninstall deps clean format cover
all: $(B)/libevq.a $(B)/libevq.so $(B)/evq.pc

# ---- the library ----

# A layer sees itself and those named before it, so an include that looks up does not compile.
LAYERS := base format store engine api
upto = $(if $(filter $1,$(firstword $2)),$1,$(firstword $2) $(call upto,$1,$(wordlist 2,9,$2)))

define layer
$(B)/lib/$1-%.o: lib/$1/%.c $(B)/flags
	$$(call say,CC)$$(CC) $$(BASE_FLAGS) -fPIC -fvisibility=hidden $(addprefix -Ilib/,$(call upto,$1,$(LAYERS))) -MMD -MP -c -o $$@ $$<
LIB_OBJS += $(patsubst lib/$1/%.c,$(B)/lib/$1-%.o,$(wildcard lib/$1/*.c))
endef
$(foreach l,$(LAYERS),$(eval $(call layer,$l)))

# What was compiled with other flags is compiled again; what was made for another place, made again.
$(shell mkdir -p $(addprefix $(B)/,lib bench tests/model tests/crash tests/fault tests/power tests/fuzz tests/examples))
remember = $(shell echo '$2' | cmp -s - $1 || echo '$2' > $1)
$(call remember,$(B)/flags,$(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(WERROR))
$(call remember,$(B)/place,$(PREFIX) $(LIBDIR) $(INCLUDEDIR))

$(B)/libevq.a: $(LIB_OBJS)
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $(LIB_OBJS)

$(B)/libevq.so.$(VERSION): $(LIB_OBJS) lib/evq.map
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libevq.so.$(SOVERSION) -Wl,--version-script=lib/evq.map \
		-Wl,-z,defs,-z,nodelete -Wl,--as-needed -o $@ $(LIB_OBJS) $(LIBS)

$(B)/libevq.so: $(B)/libevq.so.$(VERSION)
	@ln -sf $(<F) $(B)/libevq.so.$(SOVERSION)
	@ln -sf $(<F) $@

$(B)/evq.pc: lib/evq.pc.in Makefile $(B)/place
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' $< > $@

# ---- tests ----

CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)
TEST_FLAGS = $(BASE_FLAGS) $(shell $(PKG_CONFIG) --cflags check) -Itests -Wno-gnu-zero-variadic-macro-arguments
# The formats are tested from inside: their layer is part of no interface.
TEST_FLAGS += -Ilib/base -Ilib/format
TEST_OBJS := $(patsubst tests/%.c,$(B)/tests/%.o,$(wildcard tests/*.c) tests/fuzz/fuzz_format.c)
MODEL_OBJS := $(patsubst tests/%.c,$(B)/tests/%.o,$(wildcard tests/model/*.c))
EXAMPLES := $(patsubst tests/examples/%.c,$(B)/tests/examples/%,$(wildcard tests/examples/*.c))
PROGRAMS = $(B)/tests/check_all $(B)/tests/model_test $(B)/tests/kill_test $(B)/tests/full_disk $(B)/tests/fault_test \
	$(B)/tests/power_test $(B)/tests/handover $(B)/tests/pipeline_test

$(B)/tests/%.o: tests/%.c $(B)/flags
	$(call say,CC)$(CC) $(TEST_FLAGS) -MMD -MP -c -o $@ $<
# One suite counts what the library allocates, one sets its clocks, one makes its hashes collide.
$(B)/tests/check_all: $(TEST_OBJS) $(B)/libevq.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc \
		-Wl,--wrap=clock_gettime,--wrap=evq__boot_id,--wrap=evq__hash128 -o $@ $^ $(CHECK_LIBS) $(LIBS)
$(B)/tests/model_test: $(MODEL_OBJS) $(B)/libevq.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tests/kill_test: $(B)/tests/crash/kill_test.o $(B)/libevq.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tests/handover: $(B)/tests/crash/handover.o $(B)/libevq.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tests/pipeline_test: $(B)/tests/crash/pipeline_test.o $(B)/libevq.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/tests/full_disk: $(B)/tests/crash/full_disk.o $(B)/libevq.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
# These replace functions of libc, for LMDB too.
$(B)/tests/fault_test: $(patsubst tests/%.c,$(B)/tests/%.o,$(wildcard tests/fault/*.c)) $(B)/libevq.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -rdynamic -o $@ $^ $(LIBS) -ldl
$(B)/tests/power_test: $(patsubst tests/%.c,$(B)/tests/%.o,$(wildcard tests/power/*.c)) $(B)/libevq.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -rdynamic -o $@ $^ $(LIBS) -ldl
# Examples see what a user sees, and are held to what a strict user holds to.
$(B)/tests/examples/%: tests/examples/%.c $(B)/libevq.a
	$(call say,CC)$(CC) -std=c99 -D_POSIX_C_SOURCE=200809L -Iinclude -Wall -Wextra -Wpedantic $(WERROR) $(CPPFLAGS) $(CFLAGS) \
		$(LDFLAGS) -o $@ $^ $(LIBS)

MODEL_OPS ?= 200000
KILL_SECONDS ?= 12
HANDOVERS ?= 120000
PIPELINE_KILLS ?= 200
# Most tests are not about the disk: where there is one in memory, of 2 GB, they use it.
TEST_TMP ?= $(or $(TMPDIR),$(shell [ $$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $$4 }')0 -gt 20000000 ] && \
	echo /dev/shm || echo /tmp))
# With -j the two go on side by side.
check: check-programs check-suites
check-programs: all $(PROGRAMS) $(EXAMPLES) $(B)/bench/evq-bench
	sh tests/check_house.sh "$(CC)" "$(MAKE)"
	sh tests/check_docs.sh
	sh tests/check_examples.sh $(B)/tests/examples
	sh tests/check_install.sh "$(MAKE)" "$(CC) $(CFLAGS) $(LDFLAGS)"
	$(B)/tests/full_disk
	$(B)/tests/fault_test
	$(B)/tests/power_test
	$(B)/tests/kill_test --seconds $$(($(KILL_SECONDS) * 5 / 12))
	$(B)/tests/kill_test --seconds $$(($(KILL_SECONDS) * 3 / 12)) --relaxed
	$(B)/tests/kill_test --seconds $$(($(KILL_SECONDS) * 4 / 12)) --mixed
	$(B)/tests/pipeline_test $(B)/tests/examples/pipeline --kills $(PIPELINE_KILLS)
	TMPDIR=$(TEST_TMP) $(B)/tests/handover --count $(HANDOVERS)
	TMPDIR=$(TEST_TMP) $(B)/tests/handover --count $$(($(HANDOVERS) / 4)) --no-keeper
	$(B)/tests/model_test --ops $(MODEL_OPS)
	$(B)/tests/model_test --ops $$(($(MODEL_OPS) / 4)) --no-keeper
check-suites: $(B)/tests/check_all
	TMPDIR=$(TEST_TMP) $(B)/tests/check_all

SAN = -O1 -g -fno-omit-frame-pointer
# To look for leaks when a test ends takes four times what the test does: here on some topics, on others under valgrind.
check-san:
	ASAN_OPTIONS=detect_leaks=0 EVQ_TEST_SMALL=1 $(MAKE) check B=build-san MODEL_OPS=50000 HANDOVERS=40000 PIPELINE_KILLS=50 KILL_SECONDS=6 \
		CFLAGS="$(SAN) -fsanitize=address,undefined -fno-sanitize-recover=all"
	TMPDIR=$(TEST_TMP) EVQ_TEST_SMALL=1 build-san/tests/check_all groups fair content
# The keeper alone takes LMDB's lock and the gate in both orders.
check-tsan:
	$(MAKE) build-tsan/tests/check_all B=build-tsan CFLAGS="$(SAN) -fsanitize=thread -DEVQ__NO_CLOCKLOCK"
	TSAN_OPTIONS=detect_deadlocks=0 TMPDIR=$(TEST_TMP) EVQ_TEST_SMALL=1 build-tsan/tests/check_all \
		threads wait window interrupt steady fd group_waits group_window
# As on a system on which nobody can sleep on a word: it is looked at now and then.
check-nofutex:
	$(MAKE) build-nofutex/tests/check_all build-nofutex/tests/handover B=build-nofutex CPPFLAGS="$(CPPFLAGS) -DEVQ__NO_FUTEX"
	TMPDIR=$(TEST_TMP) build-nofutex/tests/check_all wait window interrupt threads woken unblocked group_waits
	TMPDIR=$(TEST_TMP) build-nofutex/tests/handover --count 2000
# Each test is a process, and checked as one.
check-valgrind: $(B)/tests/check_all
	TMPDIR=$(TEST_TMP) EVQ_TEST_SMALL=1 CK_TIMEOUT_MULTIPLIER=20 valgrind -q --fair-sched=try --error-exitcode=9 \
		--leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite $< $(TOPICS)

FUZZ_SECONDS ?= 60
fuzz:
	@mkdir -p $(B)
	clang -std=c11 -D_GNU_SOURCE $(SAN) -fsanitize=fuzzer,address,undefined -Iinclude -Ilib/base -Ilib/format \
		-o $(B)/fuzz_format tests/fuzz/fuzz_format.c lib/base/*.c lib/format/*.c
	$(B)/fuzz_format -max_total_time=$(FUZZ_SECONDS) -max_len=4096

# ---- benchmark, demonstration ----

$(B)/bench/%.o: bench/%.c $(B)/flags
	$(call say,CC)$(CC) $(BASE_FLAGS) -MMD -MP -c -o $@ $<
$(B)/bench/evq-bench: $(patsubst bench/%.c,$(B)/bench/%.o,$(wildcard bench/*.c)) $(B)/libevq.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) -lm
bench: $(B)/bench/evq-bench
	$(B)/bench/evq-bench $(BENCH)

demo: $(B)/tests/examples/demo
	@dir=$$(mktemp -d) && $(B)/tests/examples/demo $$dir/store; rc=$$?; rm -rf $$dir; exit $$rc

# ---- installing ----

install: all
	$(INSTALL) -d $(addprefix $(DESTDIR),$(LIBDIR)/pkgconfig $(INCLUDEDIR) $(MANDIR)/man3 $(MANDIR)/man5 $(MANDIR)/man7)
	$(INSTALL) -m 644 include/evq.h $(DESTDIR)$(INCLUDEDIR)/
	$(INSTALL) -m 644 $(B)/libevq.a $(DESTDIR)$(LIBDIR)/
	$(INSTALL) -m 755 $(B)/libevq.so.$(VERSION) $(DESTDIR)$(LIBDIR)/
	ln -sf libevq.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libevq.so.$(SOVERSION)
	ln -sf libevq.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libevq.so
	$(INSTALL) -m 644 $(B)/evq.pc $(DESTDIR)$(LIBDIR)/pkgconfig/
	for s in 3 5 7; do $(INSTALL) -m 644 man/*.$$s $(DESTDIR)$(MANDIR)/man$$s/ || exit 1; done

uninstall:
	rm -f $(DESTDIR)$(INCLUDEDIR)/evq.h $(DESTDIR)$(LIBDIR)/pkgconfig/evq.pc $(addprefix $(DESTDIR)$(LIBDIR)/libevq., \
		a so so.$(SOVERSION) so.$(VERSION))
	for f in man/*.[357]; do rm -f $(DESTDIR)$(MANDIR)/man$${f##*.}/$${f#man/}; done

# Packages: lmdb and xxhash to build, check and pkg-config to test.
deps:
	@sh .ci/deps

clean:
	rm -rf build build-*
format:
	clang-format -i include/*.h lib/*/*.[ch] tests/*.[ch] tests/*/*.[ch] bench/*.[ch]
cover:
	$(MAKE) check B=build-cover CFLAGS="-O0 -g --coverage"
	cd build-cover && gcov -r -s .. lib/*.o | grep -A1 "^File 'lib/.*\.c'"

-include $(wildcard $(B)/lib/*.d $(B)/bench/*.d $(B)/tests/*.d $(B)/tests/*/*.d)
