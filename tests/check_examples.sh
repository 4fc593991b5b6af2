#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs each program of a directory with a store of its own, and a minute at most: sh tests/check_examples.sh DIR.
# What a program says is shown only if it fails.

set -u
[ $# -eq 1 ] || { echo "usage: $0 directory" >&2; exit 2; }

work=$(mktemp -d "${TMPDIR:-/tmp}/check_examples.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

limit=
command -v timeout >/dev/null 2>&1 && limit='timeout 60'

ran=0
failed=0
for program in "$1"/*; do
	[ -f "$program" ] && [ -x "$program" ] || continue
	ran=$((ran + 1))
	$limit "$program" "$work/store" </dev/null >"$work/said" 2>&1
	rc=$?
	if [ $rc -ne 0 ]; then
		failed=$((failed + 1))
		cat "$work/said"
		case $rc in
		124) echo "check_examples: $program: still running after a minute" ;;
		*) echo "check_examples: $program: exit code $rc" ;;
		esac
	fi
	rm -rf "$work/store"
done

if [ $ran -eq 0 ]; then
	echo "check_examples: there are no programs in $1"
	exit 1
fi
echo "check_examples: $ran programs run, $failed failed"
[ $failed -eq 0 ]
