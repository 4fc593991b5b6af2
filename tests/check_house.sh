#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Checks the rules of the house, which lib/README.md tells. Run from the top of the tree:
#
#   sh tests/check_house.sh "cc" ["make"]
#
#   1  the top of the tree and lib/ hold what the layout names, and nothing else
#   2  only lib/store includes lmdb.h, only lib/base/hash.c includes xxhash.h, and nobody includes "../"
#   3  with the include path that make gives to a layer, the headers of the layers below do not compile,
#      and its own do, each alone; no two headers of lib/ have one name
#   4  each source opens with its licence and an essay; none is too long, nor a function of it
#   5  every function of evq.h is mentioned by a test or an example
#   6  nothing is left to be done later
#   7  every name that libevq.a defines for the linker starts with evq
#   8  an LMDB of another format is refused at build
#
# Prints what is wrong, a line each; exits 1 if anything is.

set -u
LC_ALL=C
export LC_ALL
[ $# -ge 1 ] || { echo "usage: $0 CC [MAKE]" >&2; exit 2; }
cc=$1
make=${2:-make}
build=${B:-build}
file_lines_max=450
function_lines_max=70

work=$(mktemp -d "${TMPDIR:-/tmp}/check_house.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
: >"$work/wrong"

# The lines of stdin are findings, each told with $1 in front.
wrong() {
	sed "s|^|$1: |" >>"$work/wrong"
}

find include lib tests bench -name '*.[ch]' | sort >"$work/sources"

# ---- 1: the layout ------------------------------------------------------------------------------

# The layers of which a layer may include headers, itself too; and those that see evq.h alone.
may_include() {
	case $1 in
	base) echo base ;;
	format) echo base format ;;
	store) echo base format store ;;
	engine) echo base format store engine ;;
	api) echo base format store engine api ;;
	consume | cli) echo "$1" ;;
	esac
}

for f in *; do
	case $f in
	Makefile | README.md | COPYING | include | lib | tests | bench | man) ;;
	build | build-*) ;;
	*) echo "has no place at the top" | wrong "$f" ;;
	esac
done
for f in Makefile README.md COPYING include/evq.h lib/evq.map lib/evq.pc.in lib/README.md; do
	[ -f "$f" ] || echo "is missing" | wrong "$f"
done
for f in include/*; do
	[ "$f" = include/evq.h ] || echo "is not the one public header" | wrong "$f"
done
layers=
for f in lib/*; do
	name=${f#lib/}
	if [ -n "$(may_include "$name")" ]; then
		layers="$layers $name"
		for inner in "$f"/*; do
			case $inner in
			*.c | *.h) ;;
			*) echo "is no source" | wrong "$inner" ;;
			esac
		done
	else
		case $name in
		README.md | evq.map | evq.pc.in) ;;
		*) echo "has no place in lib" | wrong "$f" ;;
		esac
	fi
done

# ---- 2: who includes what -----------------------------------------------------------------------

grep -l '^[ 	]*#[ 	]*include[ 	]*[<"]lmdb\.h' $(find include lib -name '*.[ch]') | grep -v '^lib/store/' |
	sed 's/$/: includes lmdb.h, which lib\/store alone may/' >>"$work/wrong"
grep -l '^[ 	]*#[ 	]*include[ 	]*[<"]xxhash\.h' $(cat "$work/sources") | grep -vx 'lib/base/hash\.c' |
	sed 's/$/: includes xxhash.h, which lib\/base\/hash.c alone may/' >>"$work/wrong"
grep -n '^[ 	]*#[ 	]*include[ 	]*"\.\./' $(cat "$work/sources") >>"$work/wrong"

# ---- 3: include paths ---------------------------------------------------------------------------

for f in lib/*/*.h; do
	echo "${f##*/}"
done | sort | uniq -d | sed 's/$/ is the name of two headers/' | wrong lib

# The include path of layer $1, as make would have it: from what it would do in another build directory.
include_path() {
	for source in lib/"$1"/*.c; do
		object=$work/build/lib/$1-$(basename "$source" .c).o
		MAKEFLAGS= $make -n B="$work/build" "$object" | tr -s ' \t\\' '\n\n\n' | grep '^-I' | tr '\n' ' '
		return
	done
}

# For each header of the layers $*: whether it compiles, alone, with the include path $path.
compiles() {
	for other in "$@"; do
		for header in lib/"$other"/*.h; do
			[ -f "$header" ] || continue
			printf '#include "%s"\nint evq__nothing;\n' "${header##*/}" >"$work/one.c"
			if $cc -std=c11 -D_GNU_SOURCE $path -fsyntax-only "$work/one.c" >"$work/said" 2>&1; then
				echo "$header yes"
			else
				echo "$header no"
			fi
		done
	done
}

pairs=0
for layer in $layers; do
	path=$(include_path "$layer")
	if [ -z "$path" ]; then
		echo "make tells no include path for it" | wrong "lib/$layer"
		continue
	fi
	above=$(may_include "$layer")
	below=
	for other in $layers; do
		case " $above " in
		*" $other "*) ;;
		*) below="$below $other" ;;
		esac
	done
	compiles "$layer" | sed -n 's/ no$/: does not compile alone/p' >>"$work/wrong"
	compiles $below >"$work/below"
	sed -n "s/ yes\$/: compiles in lib\/$layer, which may not include it/p" "$work/below" >>"$work/wrong"
	pairs=$((pairs + $(wc -l <"$work/below")))
done
[ $pairs -gt 0 ] || echo "no upward include was tried" | wrong lib

# ---- 4: the opening and the length of sources ---------------------------------------------------

awk '
	FNR == 1 && $0 != "/* SPDX-License-Identifier: MIT */" { print FILENAME ": does not open with its licence" }
	FNR == 2 && !/^\/\*/ { print FILENAME ": has no essay after its licence" }
	' $(cat "$work/sources") >>"$work/wrong"
awk '
	FNR == 2 && $0 != "# SPDX-License-Identifier: MIT" { print FILENAME ": does not open with its licence" }
	FNR == 4 && !/^# [A-Z]/ { print FILENAME ": has no essay after its licence" }
	' tests/*.sh .ci/* >>"$work/wrong"

awk -v file_max=$file_lines_max -v function_max=$function_lines_max '
	FNR == file_max + 1 { print FILENAME ": is over " file_max " lines" }
	/^[a-z_][A-Za-z0-9_]*\(/ { name = $0; sub(/\(.*/, "", name) }
	/^[{]$/ { start = FNR }
	/^[}]$/ && FNR - start - 1 > function_max {
		print FILENAME ": " name "() has " FNR - start - 1 " lines, over " function_max
	}
	' $(find lib -name '*.[ch]' | sort) >>"$work/wrong"

# ---- 5: every function is tried ----------------------------------------------------------------

awk '/^EVQ_API / && match($0, /evq_[a-z0-9_]*\(/) { print substr($0, RSTART, RLENGTH - 1) }' include/evq.h |
	sort >"$work/names"
[ -s "$work/names" ] || echo "no functions found" | wrong include/evq.h
cat tests/*.[ch] tests/*/*.[ch] | tr -cs 'A-Za-z0-9_' '\n' | grep '^evq_' | sort -u >"$work/mentioned"
comm -23 "$work/names" "$work/mentioned" | sed 's/$/ is mentioned by no test and no example/' | wrong include/evq.h

# ---- 6: nothing for later -----------------------------------------------------------------------

later='TO''DO|FIX''ME'
grep -nE "$later" $(cat "$work/sources") Makefile README.md COPYING lib/*.* man/* tests/*.sh .ci/* 2>/dev/null >>"$work/wrong"

# ---- 7: names for the linker --------------------------------------------------------------------

# Sanitizers and coverage add some of their own.
if [ -f "$build/libevq.a" ]; then
	nm -g "$build/libevq.a" 2>/dev/null |
		awk 'NF == 3 && $2 != "U" && $3 !~ /^evq/ && $3 !~ /^__(odr_)?(asan|tsan|ubsan|gcov|llvm|start|stop)/ { print $3 " does not start with evq" }' |
		sort -u | wrong "$build/libevq.a"
else
	echo "does not exist: build it first" | wrong "$build/libevq.a"
fi

# ---- 8: another LMDB ---------------------------------------------------------------------------

mkdir "$work/lmdb1"
cat >"$work/lmdb1/lmdb.h" <<'END'
#include_next <lmdb.h>
#undef MDB_VERSION_MAJOR
#define MDB_VERSION_MAJOR 1
END
if "$cc" -std=c11 -D_GNU_SOURCE -I"$work/lmdb1" -Iinclude -Ilib/base -Ilib/format -Ilib/store -fsyntax-only \
	lib/store/txn.c 2>"$work/refusal"; then
	echo "LMDB 1.0 is not refused" | wrong lib/store/inside.h
else
	grep -q 'evq is written for LMDB 0.9' "$work/refusal" || wrong lib/store/inside.h <"$work/refusal"
fi

if [ -s "$work/wrong" ]; then
	cat "$work/wrong"
	echo "check_house: $(wc -l <"$work/wrong" | tr -d ' ') findings"
	exit 1
fi
echo "check_house:$layers: $(wc -l <"$work/sources" | tr -d ' ') sources keep the rules; $pairs upward includes fail, as they should"
