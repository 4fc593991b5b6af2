#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs into a scratch directory and uses what is there as somebody else's program would:
#
#   sh tests/check_install.sh "make" "cc -O2 -g"
#
#   1  `make install` puts there the files that it should, and no other
#   2  a program builds with what pkg-config says, shared and static, and runs; one may unload the library again
#   3  the header compiles alone, as strict C99 and as C++11
#   4  the shared library has its soname, exports what lib/evq.map lists, needs only LMDB and libc
#   5  `make uninstall` leaves nothing
#
# Variables given to the make that runs this (B, CC ...) reach the one run from here. With flags of a
# sanitizer or of coverage, which bring libraries and symbols of their own, the shared part is left out.

set -u
LC_ALL=C
export LC_ALL
[ $# -eq 2 ] || { echo "usage: $0 MAKE 'CC FLAGS'" >&2; exit 2; }
make=$1
cc=$2
pkg_config=${PKG_CONFIG:-pkg-config}

work=$(mktemp -d "${TMPDIR:-/tmp}/check_install.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
dest=$work/dest
lib=$dest/usr/lib

fail() {
	[ ! -s "$work/said" ] || cat "$work/said"
	echo "check_install: $*"
	exit 1
}

# Runs a command and keeps what it says for fail().
run() {
	"$@" >"$work/said" 2>&1
}

# Fails with what differs if the lists $1 and $2 do.
same() {
	diff "$1" "$2" >"$work/said" 2>&1 || fail "$3 (< expected, > found)"
	: >"$work/said"
}

# $make may be words: "make -s".
make_to() {
	run $make "$1" DESTDIR="$dest" PREFIX=/usr LIBDIR=/usr/lib INCLUDEDIR=/usr/include MANDIR=/usr/share/man ||
		fail "make $1 failed"
}

plain=yes
case $cc in
*-fsanitize=* | *--coverage*) plain=no ;;
esac

version=$(awk '/define EVQ_VERSION_(MAJOR|MINOR|PATCH)/ { v = v s $3; s = "." } END { print v }' include/evq.h)
soname=libevq.so.${version%%.*}

# ---- 1: the files -------------------------------------------------------------------------------

make_to install
{
	echo ./usr/include/evq.h
	for f in libevq.a libevq.so "$soname" "libevq.so.$version" pkgconfig/evq.pc; do
		echo "./usr/lib/$f"
	done
	for page in man/*.[357]; do
		echo "./usr/share/man/man${page##*.}/${page#man/}"
	done
} | sort >"$work/expected"
(cd "$dest" && find . ! -type d) | sort >"$work/found"
same "$work/expected" "$work/found" "the files installed are not those expected"
for link in libevq.so "$soname"; do
	[ "$(readlink "$lib/$link")" = "libevq.so.$version" ] || fail "$link is no link to libevq.so.$version"
done

# ---- 2: a program -------------------------------------------------------------------------------

cat >"$work/user.c" <<'END'
#include <evq.h>
#include <string.h>

int
main(int argc, char **argv)
{
	evq_env *env = NULL;
	int major, rc = evq_env_open(argc > 1 ? argv[1] : NULL, NULL, &env);
	evq_env_close(env);
	return rc != 0 || strcmp(evq_version(&major, NULL, NULL), VERSION) != 0 || major != EVQ_VERSION_MAJOR;
}
END

# The directories of the scratch copy are in front of each path; that they are the system's must not hide them.
PKG_CONFIG_PATH=$lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
PKG_CONFIG_SYSROOT_DIR=$dest
PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1
PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_ALLOW_SYSTEM_CFLAGS PKG_CONFIG_ALLOW_SYSTEM_LIBS
[ "$($pkg_config --modversion evq)" = "$version" ] || fail "evq.pc is not of version $version"
cflags=$($pkg_config --cflags evq) || fail "pkg-config --cflags evq failed"
shared_libs=$($pkg_config --libs evq) || fail "pkg-config --libs evq failed"
static_libs=$($pkg_config --static --libs evq) || fail "pkg-config --static --libs evq failed"
case "$cflags $shared_libs" in
*"$dest/usr/include"*"$dest/usr/lib"*) ;;
*) fail "pkg-config does not point to the scratch copy: $cflags $shared_libs" ;;
esac

# The archive by its name: where both are there, -levq is the shared one.
static_libs=$(echo "$static_libs" | sed "s|-levq|$lib/libevq.a|")
run $cc -DVERSION="\"$version\"" -o "$work/static" "$work/user.c" $cflags $static_libs ||
	fail "a program does not link with libevq.a"
run "$work/static" "$work/store1" || fail "the program linked with libevq.a fails"
if [ $plain = yes ]; then
	run $cc -DVERSION="\"$version\"" -o "$work/shared" "$work/user.c" $cflags $shared_libs ||
		fail "a program does not link with libevq.so"
	run env LD_LIBRARY_PATH="$lib" "$work/shared" "$work/store2" || fail "the program linked with libevq.so fails"

	# Unloaded with a store open, its thread at work: it stays where it is.
	cat >"$work/loader.c" <<'END'
#include <dlfcn.h>
#include <evq.h>
#include <time.h>

int
main(int argc, char **argv)
{
	void *library = argc > 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
	union {
		void *found;
		int (*open)(const char *path, const evq_env_opts *opts, evq_env **out);
	} call = { library ? dlsym(library, "evq_env_open") : NULL };
	evq_env *env = NULL;
	struct timespec while_ = { 0, 50000000 };
	if (!call.found || call.open(argv[2], EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .flush_ms = 1), &env))
		return 1;
	return dlclose(library) || nanosleep(&while_, NULL);
}
END
	run $cc -D_POSIX_C_SOURCE=200809L -o "$work/loader" "$work/loader.c" $cflags -ldl || fail "the loader does not link"
	run "$work/loader" "$lib/libevq.so" "$work/store3" || fail "unloading the library with a store open ends the program"
fi

# ---- 3: the header ------------------------------------------------------------------------------

echo '#include <evq.h>' >"$work/header.c"
run $cc -std=c99 -pedantic -Wall -Wextra -Werror $cflags -fsyntax-only "$work/header.c" ||
	fail "evq.h does not compile as C99"
cp "$work/header.c" "$work/header.cc"
echo 'int main() { return 0; }' >"$work/any.cc"
cxx=
for c in ${CXX:-} c++ g++ clang++; do
	if [ -z "$cxx" ] && $c -fsyntax-only "$work/any.cc" >/dev/null 2>&1; then
		cxx=$c
	fi
done
if [ -n "$cxx" ]; then
	run $cxx -std=c++11 -pedantic -Wall -Wextra -Werror $cflags -fsyntax-only "$work/header.cc" ||
		fail "evq.h does not compile as C++11"
else
	echo "check_install: no C++ compiler is installed: C++11 skipped"
fi

# ---- 4: the shared library ----------------------------------------------------------------------

if [ $plain = no ]; then
	echo "check_install: flags of a sanitizer or of coverage: the shared library is left out"
elif ! command -v readelf >/dev/null 2>&1; then
	echo "check_install: no readelf here: soname, exports and needs skipped"
else
	readelf -d "$lib/libevq.so" >"$work/dynamic" || fail "readelf cannot read libevq.so"
	grep -q "SONAME.*\[$soname\]" "$work/dynamic" || fail "the soname is not $soname"

	sed -n 's/^[ 	]*\(evq_[a-z0-9_]*\);.*$/\1/p' lib/evq.map | sort >"$work/expected"
	[ -s "$work/expected" ] || fail "no names found in lib/evq.map"
	nm -D --defined-only "$lib/libevq.so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$work/found"
	same "$work/expected" "$work/found" "exports are not those of lib/evq.map"

	sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p' "$work/dynamic" >"$work/needed"
	grep -q '^liblmdb\.' "$work/needed" || fail "libevq.so does not name LMDB as needed"
	grep -Ev '^(liblmdb|libc|libpthread|libdl|ld-linux.*)\.' "$work/needed" >"$work/said" &&
		fail "libevq.so needs more than LMDB and libc"
fi

# ---- 5: uninstalling ----------------------------------------------------------------------------

make_to uninstall
(cd "$dest" && find . ! -type d) >"$work/said"
[ ! -s "$work/said" ] || fail "make uninstall leaves these"

if [ $plain = yes ]; then
	echo "check_install: installed, used shared and static, uninstalled"
else
	echo "check_install: installed, used static, uninstalled"
fi
