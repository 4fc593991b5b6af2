#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Checks that the documentation, the header and the list of exports say the same. Run from the top of
# the tree: sh tests/check_docs.sh. Prints what is wrong, a line each; exits 1 if anything is.
#
#   1  mandoc finds nothing to say about any page (skipped where it is not installed)
#   2  functions of evq.h = exports of evq.map = names on the pages of section 3, each on one page,
#      with the prototype of the header
#   3  the example on a page = tests/examples/<page>.c
#   4  every EVQ_* error of evq.h has its entry in evq.3, and no page names a constant that evq.h lacks
#   5  every evq page referred to exists, and every page has its sections

set -u
LC_ALL=C
export LC_ALL

header=include/evq.h
map=lib/evq.map
work=${TMPDIR:-/tmp}/check_docs.$$
mkdir -m 700 "$work" || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
: >"$work/wrong"

# The lines of stdin are findings, each told with $1 in front.
wrong() {
	sed "s|^|$1: |" >>"$work/wrong"
}

# Tells in what the sorted lists $1 and $2, called $3 and $4, differ.
same_names() {
	comm -23 "$1" "$2" | sed "s|^.*$|& is missing in $4|" | wrong "$3"
	comm -13 "$1" "$2" | sed "s|^.*$|& is missing in $3|" | wrong "$4"
}

for f in "$header" "$map" man/evq.3; do
	[ -f "$f" ] || echo "no such file; run from the top of the tree" | wrong "$f"
done
if [ -s "$work/wrong" ]; then
	cat "$work/wrong"
	exit 1
fi

# ---- 1: mandoc ----------------------------------------------------------------------------------

if command -v mandoc >/dev/null 2>&1; then
	# Whether other manuals are installed here is no business of ours.
	mandoc -T lint -W style man/*.[1-9] >"$work/lint" 2>"$work/said" # one file would mix their lines
	cat "$work/lint" "$work/said" |
		grep -v -e 'referenced manual not found' -e 'outdated mandoc.db' >>"$work/wrong"
else
	echo "check_docs: mandoc is not installed: lint skipped"
fi

# ---- 2: names and prototypes --------------------------------------------------------------------

# The header as one declaration a line, without comments, directives, bodies of structs and typedefs.
awk '
	{ text = text $0 "\n" }
	END {
		while ((i = index(text, "/*")) > 0) {
			rest = substr(text, i + 2)
			j = index(rest, "*/")
			text = substr(text, 1, i - 1) " " substr(rest, j + 2)
		}
		n = split(text, line, "\n")
		code = ""
		for (i = 1; i <= n; i++) {
			if (line[i] ~ /^[ \t]*#/ || goes_on) {
				goes_on = line[i] ~ /\\$/
				continue
			}
			code = code line[i] " "
		}
		sub(/extern "C" [{]/, "", code)
		depth = 0
		decl = ""
		for (i = 1; i <= length(code); i++) {
			c = substr(code, i, 1)
			if (c == "{")
				depth++
			else if (c == "}")
				depth -= depth > 0
			else if (depth == 0 && c == ";") {
				gsub(/[ \t]+/, " ", decl)
				sub(/^ /, "", decl)
				sub(/^EVQ_API /, "", decl)
				print decl
				decl = ""
			} else if (depth == 0)
				decl = decl c
		}
	}' "$header" >"$work/decls"

# Prototypes in one shape: no blanks but between words.
squeeze() {
	sed -e 's/[ 	][ 	]*/ /g' -e 's/ *\([][(),*]\) */\1/g' -e 's/^ //' -e 's/ $//' | sort
}

grep '(' "$work/decls" | squeeze >"$work/header.protos"
grep -v '^typedef ' "$work/header.protos" |
	sed 's/^[^(]*[ *]\(evq_[a-z0-9_]*\)(.*$/\1/' | sort >"$work/header.names"
sed -n 's/^typedef .*[ *)(]\(evq_[a-z0-9_]*\)\((.*\)*$/\1/p' "$work/decls" | sort >"$work/header.types"

awk '
	{ sub(/#.*/, ""); gsub(/[{};]/, " & "); text = text " " $0 }
	END {
		n = split(text, word, " ")
		for (i = 1; i <= n; i++) {
			if (word[i] ~ /^(global|local):?$/)
				global = word[i] ~ /^global/
			else if (global && word[i] ~ /^evq_/)
				print word[i]
		}
	}' "$map" | sort >"$work/map.names"

# Page and name, for each .Nm of a NAME section.
awk '
	FNR == 1 { page = FILENAME; sub(/.*\//, "", page) }
	/^\.Sh/ { here = $2 == "NAME" }
	here && /^\.Nm evq_/ { print page, $2 }
	' man/*.3 >"$work/nm"
awk '{ print $2 }' "$work/nm" | sort >"$work/nm.all"
uniq -d "$work/nm.all" | sed 's/$/ is on more than one page/' | wrong man
uniq "$work/nm.all" | comm -23 - "$work/header.types" >"$work/nm.names"

same_names "$work/header.names" "$work/map.names" "$header" "$map"
same_names "$work/header.names" "$work/nm.names" "$header" "the pages of man/"

# The prototypes of the SYNOPSIS sections.
awk '
	function word_of(s) { gsub(/^"|"$/, "", s); return s }
	function args_of(s,   list, a) {
		list = ""
		while (s != "") {
			if (substr(s, 1, 1) == "\"") {
				s = substr(s, 2)
				a = substr(s, 1, index(s, "\"") - 1)
				s = substr(s, index(s, "\"") + 1)
			} else if (match(s, / /)) {
				a = substr(s, 1, RSTART - 1)
				s = substr(s, RSTART)
			} else {
				a = s
				s = ""
			}
			sub(/^ +/, "", s)
			list = list (list == "" ? "" : ",") a
		}
		return list
	}
	/^\.Sh/ { here = $2 == "SYNOPSIS" }
	!here { next }
	/^\.Ft / { type = substr($0, 5) }
	/^\.Fn / { name = $2; s = $0; sub(/^\.Fn [^ ]+ */, "", s); print type " " name "(" args_of(s) ")" }
	/^\.Fo / { name = $2; list = "" }
	/^\.Fa / { list = list (list == "" ? "" : ",") word_of(substr($0, 5)) }
	/^\.Fc/ { print type " " name "(" list ")" }
	' man/*.3 | squeeze >"$work/man.protos"
same_names "$work/header.protos" "$work/man.protos" "$header" "the SYNOPSIS sections of man/"

# ---- 3: examples --------------------------------------------------------------------------------

for page in man/*.3; do
	name=$(basename "$page" .3)
	example=tests/examples/$name.c
	if [ ! -f "$example" ]; then
		echo "there is no $example" | wrong "$page"
		continue
	fi
	awk '
		function plain(s,   out, i) {
			out = ""
			while ((i = index(s, "\\")) > 0) {
				out = out substr(s, 1, i - 1)
				s = substr(s, i + 1)
				if (s ~ /^e/) { out = out "\\"; s = substr(s, 2) }
				else if (s ~ /^-/) { out = out "-"; s = substr(s, 2) }
				else if (s ~ /^&/) { s = substr(s, 2) }
				else if (s ~ /^\(aq/) { out = out "\047"; s = substr(s, 4) }
				else { out = out "<escape not known>" }
			}
			return out s
		}
		/^\.Sh/ { here = $2 == "EXAMPLES" }
		here && /^\.Ed/ { exit }
		open { print plain($0) }
		here && /^\.Bd -literal/ { open = 1 }
		' "$page" >"$work/example"
	cmp -s "$work/example" "$example" ||
		diff "$work/example" "$example" | wrong "$page differs from $example"
done
for example in tests/examples/evq*.c; do
	[ -f "man/$(basename "$example" .c).3" ] || echo "belongs to no page" | wrong "$example"
done

# ---- 4: constants -------------------------------------------------------------------------------

sed -n 's/^[ 	]*#define[ 	][ 	]*\(EVQ_[A-Z0-9_]*\)[ 	][ 	]*(-29[0-9]*).*$/\1/p' "$header" |
	sort >"$work/errors"
[ -s "$work/errors" ] || echo "no error codes found" | wrong "$header"
sed -n 's/^\.It Er \(EVQ_[A-Z0-9_]*\)$/\1/p' man/evq.3 | sort >"$work/entries"
same_names "$work/errors" "$work/entries" "$header" "the table of man/evq.3"

# The constants that $1 names; the title of a page is none, and EVQ_* and EVQ_..._ stand for a family.
constants_of() {
	awk '
		/^\.Dt / { next }
		{
			while (match($0, /EVQ_[A-Z0-9_]*[A-Z0-9]/)) {
				print substr($0, RSTART, RLENGTH)
				$0 = substr($0, RSTART + RLENGTH)
			}
		}' "$1" | sort -u
}

constants_of "$header" >"$work/constants"
for page in man/*.[1-9]; do
	constants_of "$page" | comm -23 - "$work/constants" |
		sed "s|$| is not in $header|" | wrong "$page"
	sed -n 's/^\.F[no] \(evq_[a-z0-9_]*\).*$/\1/p' "$page" | sort -u |
		comm -23 - "$work/header.names" | comm -23 - "$work/header.types" |
		sed "s|$| is not in $header|" | wrong "$page"
done

# ---- 5: references and sections -----------------------------------------------------------------

for page in man/*.[1-9]; do
	sed -n 's/^\.Xr \(evq[a-z0-9_]*\) \([1-9]\).*$/\1.\2/p' "$page" | sort -u | while read -r other; do
		[ -f "man/$other" ] || echo "refers to $other, which does not exist"
		[ "man/$other" != "$page" ] || echo "refers to itself"
	done | wrong "$page"
done
for page in man/*.3; do
	for section in NAME SYNOPSIS DESCRIPTION 'RETURN VALUES' EXAMPLES ERRORS 'SEE ALSO' CAVEATS; do
		grep -q "^\.Sh $section\$" "$page" || echo "has no section $section"
	done | wrong "$page"
done

if [ -s "$work/wrong" ]; then
	cat "$work/wrong"
	echo "check_docs: $(wc -l <"$work/wrong" | tr -d ' ') findings"
	exit 1
fi
echo "check_docs: $(wc -l <"$work/header.names" | tr -d ' ') functions, $(wc -l <"$work/errors" | tr -d ' ') errors: header, exports, pages and examples agree"
