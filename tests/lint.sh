#!/bin/sh
# lint: manual pages through mandoc, shell through shellcheck, Python through its own parser.
set -eu
cd "${ABIDE_SRC:-.}"

count=0
# check TOOL FILE COMMAND...: no output is good.
check() {
	tool=$1 file=$2
	shift 2
	count=$((count + 1))
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "ok $count - $file # SKIP there is no $tool"
		return 0
	fi
	said=$("$@" 2>&1) || :
	if [ -z "$said" ]; then
		echo "ok $count - $file"
	else
		printf '%s\n' "$said" | sed 's/^/# /'
		echo "not ok $count - $file"
	fi
}

# Pages that are not installed yet cannot be found by reference, nor any page without an index: no fault of the page.
page() { mandoc -T lint -W style "$1" 2>&1 | grep -v -e 'referenced manual not found' -e 'outdated mandoc.db' || :; }

for file in man/*.[1-8]; do
	[ ! -f "$file" ] || check mandoc "$file" page "$file"
done
for file in dev .ci/run $(find tests -type f | sort); do
	[ -f "$file" ] || continue
	case $file in
	*.py) check python3 "$file" python3 -B -c 'import ast, sys; ast.parse(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1])' "$file" ;;
	*)
		case $(head -c 64 "$file" | head -n 1 | tr -d '\0') in
		'#!'*python*) check python3 "$file" python3 -B -c 'import ast, sys; ast.parse(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1])' "$file" ;;
		'#!'*sh) check shellcheck "$file" shellcheck -x -P SCRIPTDIR "$file" ;;
		esac ;;
	esac
done
echo "1..$count"
