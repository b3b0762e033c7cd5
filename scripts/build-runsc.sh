#!/bin/sh
# Builds the pinned gVisor runsc once and keeps it in the cache.
#
#   scripts/build-runsc.sh          builds unless it is there, prints its path
#   scripts/build-runsc.sh --path   prints where it is or would be, builds nothing
#
# It goes to $VITRINE_CACHE_DIR/bin/runsc-<key>, where the key follows from the
# pin (go.mod and go.sum of tools/runsc), the Go version and this script, with a
# link named runsc beside it. The first build takes about four minutes on two
# cores and downloads gVisor's modules through the Go proxy.
set -eu

fail() {
	echo "build-runsc: $1" >&2
	echo "  remedy: $2" >&2
	exit 1
}

top=$(cd "$(dirname "$0")/.." && pwd)
module=$top/tools/runsc
bin=${VITRINE_CACHE_DIR:-/var/cache/vitrine}/bin
package=gvisor.dev/gvisor/runsc

command -v go >/dev/null || fail "Go is not installed" "install Go as the README says"
# The script's own text is part of the key, as its flags are.
key=$({ cat "$module/go.mod" "$module/go.sum" "$top/scripts/build-runsc.sh"; cd "$module" && go version; } | sha256sum | cut -c1-16)
target=$bin/runsc-$key

if [ "${1:-}" = --path ]; then
	echo "$target"
	exit 0
fi
mkdir -p "$bin" 2>/dev/null || fail "$bin cannot be made" "run it as root, or set VITRINE_CACHE_DIR"
[ -w "$bin" ] || fail "$bin cannot be written to" "run it as root, or set VITRINE_CACHE_DIR"

# Two builds at once would only slow each other; the second finds the first's.
exec 9>"$bin/.runsc.lock"
if ! flock -n 9; then
	echo "build-runsc: another build is running; waiting for it" >&2
	flock 9
fi
if [ ! -x "$target" ]; then
	rm -f "$bin"/.runsc-*.part # of builds that were killed: we hold the lock
	part=$bin/.runsc-$key.part
	trap 'rm -f "$part"' EXIT
	trap 'exit 130' INT TERM
	cd "$module"
	version=$(go list -m -f '{{.Version}}' gvisor.dev/gvisor) || fail "the pinned gVisor module cannot be read" "check that the Go proxy can be reached: go env GOPROXY"
	echo "build-runsc: building gVisor $version, once; this takes some minutes" >&2
	total=$(go list -deps "$package" | wc -l)
	tty=; [ -t 2 ] && tty=yes
	# -v names each package as it is compiled; those in Go's own cache are not
	# named, so the count may end before the total.
	{ CGO_ENABLED=0 go build -v -trimpath -o "$part" \
		-ldflags="-s -w -X gvisor.dev/gvisor/runsc/version.version=$version" "$package" 2>&1 || true; } |
		awk -v total="$total" -v tty="$tty" '
			/^[a-z0-9][^ ]*$/ { n++; if (tty) printf "\r  %3d%%  %-60.60s", 100 * n / total, $0; else if (n % 100 == 0) printf "  %d of %d packages\n", n, total; next }
			{ if (tty) printf "\r%-68s\r", ""; print }
			END { if (tty) printf "\r%-68s\r", "" }' >&2
	[ -x "$part" ] || fail "gVisor $version could not be built" "see the lines above; the Go proxy must be reachable and 2 GB of disk free"
	"$part" --version >&2 || fail "the runsc that was built does not run" "remove $bin/runsc-* and build again"
	mv "$part" "$target"
fi
ln -sfn "runsc-$key" "$bin/runsc"
echo "$target"
