#!/bin/sh
# layers: who may include whom. Arrows run downwards only: a file includes its own folder and lower ones, keeper and courier
# never each other, sendmail/ nothing but common/. Includes of ours are written from the root; <config.h> comes first in every
# .c and never in a header; a library that only some folders may know is named here too.
set -eu
cd "${ABIDE_SRC:-.}"

# FOLDER: the folders it may include. A program's file (spooler/abide.c) has its own line, looked up first.
rules='
compat                  compat
common                  common compat
sendmail                sendmail common compat
spooler/policy          spooler/policy common compat
spooler/link            spooler/link common compat
spooler/keeper          spooler/keeper spooler/link spooler/policy common compat
spooler/courier         spooler/courier spooler/link spooler/policy common compat
spooler/tool            spooler/tool spooler/policy common compat
spooler/abide.c         spooler/tool spooler/policy common compat
spooler                 spooler spooler/keeper spooler/courier spooler/link spooler/policy common compat
'
# HEADER PATTERN: the files that may include it.
libraries='
event2/   ^spooler/(keeper/|courier/|abided[.]c)
ares[.]h  ^spooler/courier/dns[.][ch]$
idn2[.]h  ^spooler/policy/
gnutls/   ^spooler/(courier/tls|keeper/dkim)[.][ch]$
'

files=$(find compat common sendmail spooler -name '*.[ch]' | sort)
# shellcheck disable=SC2086  # names of ours have no blanks
awk -v rules="$rules" -v libraries="$libraries" '
function fail(text) { bad[what] = bad[what] "# " FILENAME ":" FNR ": " text "\n" }
BEGIN {
	n = split(rules, line, "\n")
	for (i = 1; i <= n; i++)
		if (split(line[i], word, " ") > 1) {
			order[++count] = word[1]
			for (j = 2; j in word; j++) may[word[1], word[j]] = 1
		}
	n = split(libraries, line, "\n")
	for (i = 1; i <= n; i++)
		if (split(line[i], word, " ") == 2) { library[++libs] = word[1]; users[libs] = word[2] }
}
FNR == 1 {
	what = FILENAME
	if (!((what, "common") in may) && !((what, "compat") in may)) sub(/\/[^\/]*$/, "", what)
	seen[what]++
	first = 1
	source = FILENAME ~ /[.]c$/
}
/^[ \t]*#[ \t]*include/ {
	name = $0
	sub(/^[^<"]*/, "", name)
	if (source && first && name !~ /^<config[.]h>/) fail("<config.h> does not come first")
	if (!source && name ~ /^<config[.]h>/) fail("a header includes <config.h>")
	first = 0
	if (name ~ /^"/) {
		path = name
		sub(/^"/, "", path); sub(/".*/, "", path)
		folder = path
		if (!sub(/\/[^\/]*$/, "", folder)) fail("\"" path "\" is not written from the root")
		else if (!((what, folder) in may)) fail(what " may not include " path)
		else if ((getline dummy < path) < 0) fail("there is no " path)
		close(path)
	} else
		for (i = 1; i <= libs; i++)
			if (name ~ ("^<" library[i]) && FILENAME !~ users[i]) fail("the library of " name " has no business here")
}
END {
	for (i = 1; i <= count; i++) {
		what = order[i]
		if (bad[what] != "") { printf "%snot ok %d - %s\n", bad[what], i, what; failed = 1 }
		else printf "ok %d - %s, %d files\n", i, what, seen[what]
	}
	print "1.." count
	exit failed
}' $files || exit 0        # the "not ok" lines say it all
