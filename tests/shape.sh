#!/bin/sh
# shape: no function over 80 lines, no file over 700. The limits may fall and never rise. Tests are counted, not judged.
set -eu
cd "${ABIDE_SRC:-.}"

function_max=80
file_max=700
# Functions and files that a program wrote, or that are one table: "FILE" or "FILE:FUNCTION".
listed=''

# Prints FILE LINE FUNCTION LENGTH of each function: from the line of its name to the brace in the first column.
functions() {
	awk '
	FNR == 1 { depth = 0; head = ""; inside = 0; comment = 0 }
	{
		line = $0
		gsub(/"([^"\\]|\\.)*"/, "\"\"", line); gsub(/\047([^\047\\]|\\.)*\047/, "0", line)
		if (comment) { if (!sub(/^.*\*\//, "", line)) next; comment = 0 }
		gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line); sub(/\/\/.*/, "", line)
		if (sub(/\/\*.*/, "", line)) comment = 1
	}
	!inside && /^[A-Za-z_]/ && line ~ /\(/ && line !~ /[;=]/ {
		if (match(line, /[A-Za-z_][A-Za-z_0-9]* *\(/)) {
			head = substr(line, RSTART, RLENGTH); sub(/ *\($/, "", head); at = FNR
		}
	}
	!inside && (/^[^ \t].*[;=]/ || /^}/) { if (line ~ /^[^ \t].*[;=]/ && line !~ /\{[^}]*$/) head = "" }
	!inside && head != "" && line ~ /\{/ { if (line ~ /\}[ \t]*$/) { print FILENAME, at, head, FNR - at + 1; head = "" } else inside = 1; next }
	inside && /^}/ { print FILENAME, at, head, FNR - at + 1; inside = 0; head = "" }
	' "$@"
}

# verdict NUMBER TITLE MAX: reads "LENGTH NAME" lines, longest first; shows ten, and says whether all keep to MAX.
verdict() {
	awk -v number="$1" -v title="$2" -v max="$3" -v listed="$listed" '
	BEGIN { n = split(listed, word, " "); for (i = 1; i <= n; i++) spared[word[i]] = 1 }
	{ length_of[NR] = $1; name[NR] = $2 }
	END {
		for (i = 1; i <= NR && i <= 10; i++) printf "# %4d  %s\n", length_of[i], name[i]
		for (i = 1; i <= NR && length_of[i] > max; i++) {
			key = name[i]; sub(/:[0-9]+:/, ":", key)
			if (!(key in spared)) { printf "# too long (%d lines): %s\n", length_of[i], name[i]; bad = 1 }
		}
		printf "%sok %d - %d %s, p50 %d, p90 %d, longest %d of %d lines\n", bad ? "not " : "", number, NR, title,
		    length_of[int((NR + 1) / 2)], length_of[int(NR / 10) + 1], length_of[1], max
	}'
}

sources=$(find compat common sendmail spooler -name '*.[ch]' | sort)
tests=$(find tests -name '*.[ch]' | sort)
echo 1..2
# shellcheck disable=SC2086  # names of ours have no blanks
{
	functions $sources | awk '{ print $4, $1 ":" $2 ":" $3 }' | sort -rn | verdict 1 functions $function_max
	wc -l $sources | awk '$2 != "total"' | sort -rn | verdict 2 files $file_max
	echo "# lines: $(cat $sources | wc -l) of the project, $(cat $tests /dev/null | wc -l) of unit tests"
}
