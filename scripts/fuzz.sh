#!/bin/sh
# Runs every fuzz target for a while: scripts/fuzz.sh 60s
# The seeds of each run in `go test` anyway; this looks further.
set -eu
time=${1:-60s}
cd "$(dirname "$0")/.."
# The API's test binary holds a whole OpenAPI library: instrumented for fuzzing it
# compiles for more than ten minutes, so its decoder's seeds have to do here.
skip=internal/httpapi
grep -rlE '^func Fuzz' --include='*_test.go' --exclude-dir=node_modules . | sort | while read -r file; do
	dir=$(dirname "$file")
	[ "$dir" = "./$skip" ] && continue
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
		echo "fuzz $dir $target ($time)"
		go test "$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -tags netgo,osusergo
	done
done
