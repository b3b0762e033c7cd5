#!/bin/sh
# Prints the licences of everything that is linked into the given Go programs,
# of the codec libraries in the agent, and of the page's packages: what whoever
# passes the package on must pass on too.
#
#   packaging/notices.sh BINARY…
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)

# heading NAME, then the licence files of a directory.
licences() {
	name=$1 dir=$2 found=
	for f in "$dir"/LICENSE* "$dir"/LICENCE* "$dir"/COPYING* "$dir"/NOTICE* "$dir"/PATENTS*; do
		[ -f "$f" ] || continue
		[ -n "$found" ] || printf '\n======== %s\n' "$name"
		found=yes
		printf '\n'
		cat "$f"
	done
	[ -n "$found" ] || {
		echo "notices: $name has no licence file in $dir" >&2
		exit 1
	}
}

echo "What Vitrine's programs and page are made of, and on what terms."
modules=$(go env GOMODCACHE)
for binary in "$@"; do
	go version -m "$binary" || exit 1
done | awk '$1 == "dep" { print $2 "@" $3 }' | LC_ALL=C sort -u | while read -r module; do
	# The module cache writes upper case as "!" and lower case.
	licences "$module" "$modules/$(printf %s "$module" | sed 's/[A-Z]/!\l&/g')"
done
licences "Go $(go env GOVERSION)" "$(go env GOROOT)"
for package in libvpx-dev libyuv-dev libopenh264-dev libjpeg62-turbo-dev libc6-dev; do
	printf '\n======== %s (Debian), linked into the agent\n\n' "$package"
	cat "/usr/share/doc/$package/copyright"
done
for package in $(node -p 'Object.keys(require("'"$top"'/web/package.json").dependencies).join(" ")'); do
	licences "$package, in the page" "$top/web/node_modules/$package"
done
