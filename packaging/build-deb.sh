#!/bin/sh
# Builds the Debian package from programs that are built already, with dpkg-deb
# alone: there is nothing to compile, patch or strip, which is what debhelper is
# for.
#
#   packaging/build-deb.sh VITRINE RUNSC OUTDIR
#
# The version is the commit's, or DEB_VERSION; DEB_LEVEL is how hard to pack it,
# 0 (quick) to 9.
# The same programs and commit give the same package, byte for byte: times are
# SOURCE_DATE_EPOCH (the commit's, unless set), owners root, orders sorted.
set -eu

fail() {
	echo "build-deb: $1" >&2
	echo "  remedy: $2" >&2
	exit 1
}

[ $# -eq 3 ] || fail "VITRINE, RUNSC and OUTDIR are wanted" "make deb"
vitrine=$1 runsc=$2 out=$3
for program in "$vitrine" "$runsc"; do
	[ -x "$program" ] || fail "$program is not there" "make build runsc"
done
for tool in dpkg-deb dpkg gzip git go node; do
	command -v "$tool" >/dev/null || fail "$tool is not installed" "build on Debian, with Go and Node as the README says"
done

top=$(cd "$(dirname "$0")/.." && pwd)
here=$top/packaging
TZ=UTC LC_ALL=C
export TZ LC_ALL
umask 022
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

# A tag v1.2.3 is version 1.2.3, v1.2.3-rc1 comes before it, and commits after it
# are 1.2.3+N.gHASH. Without a tag the time orders them, below any release.
tag=$(git -C "$top" describe --tags --match 'v[0-9]*' 2>/dev/null || true)
if [ -n "${DEB_VERSION:-}" ]; then
	version=$DEB_VERSION
elif [ -n "$tag" ]; then
	version=$(echo "${tag#v}" | sed -E 's/-([0-9]+)-(g[0-9a-f]+)$/+\1.\2/; s/-/~/g')
else
	version=0~$(git -C "$top" log -1 --format=%cd --date=format-local:%Y%m%d%H%M%S).g$(git -C "$top" rev-parse --short=9 HEAD)
fi
arch=$(dpkg --print-architecture)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
root=$work/root
doc=$root/usr/share/doc/vitrine
put() { install -D -m "$1" "$2" "$root/$3"; }

put 755 "$vitrine" usr/bin/vitrine
put 755 "$runsc" usr/lib/vitrine/runsc
put 644 "$here/vitrine.service" lib/systemd/system/vitrine.service
put 600 "$here/vitrine.env" etc/vitrine/vitrine.env
put 644 "$here/debian/copyright" usr/share/doc/vitrine/copyright
put 644 "$here/debian/lintian-overrides" usr/share/lintian/overrides/vitrine
for page in operations failures security data-directory api ssh; do
	put 644 "$top/docs/$page.md" "usr/share/doc/vitrine/$page.md"
done
put 644 "$top/api/openapi.yaml" usr/share/doc/vitrine/openapi.yaml
put 644 "$top/monitoring/alerts.yaml" usr/share/doc/vitrine/monitoring/alerts.yaml
put 644 "$top/monitoring/dashboard.json" usr/share/doc/vitrine/monitoring/dashboard.json
# Not through a pipe, which would hide that one of them failed.
"$here/notices.sh" "$vitrine" "$runsc" >"$work/notices"
mkdir -p "$root/usr/share/bash-completion/completions" "$root/usr/share/man/man1"
"$vitrine" completion bash >"$root/usr/share/bash-completion/completions/vitrine"
gzip -9nc "$here/vitrine.1" >"$root/usr/share/man/man1/vitrine.1.gz"
gzip -9nc "$work/notices" >"$doc/NOTICES.gz"
maintainer=$(sed -n 's/^Maintainer: //p' "$here/debian/control.in")
{
	printf 'vitrine (%s) stable; urgency=medium\n\n' "$version"
	printf '  * What changed: https://github.com/vitrine-dev/vitrine/blob/main/CHANGELOG.md\n\n'
	printf ' -- %s  %s\n' "$maintainer" "$(date -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9nc >"$doc/changelog.gz"

mkdir "$root/DEBIAN"
size=$(find "$root" -type f -printf '%s\n' | awk '{ n += int(($1 + 1023) / 1024) } END { print n }')
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" "$here/debian/control.in" >"$root/DEBIAN/control"
cp "$here/debian/conffiles" "$root/DEBIAN/"
for script in postinst prerm postrm; do
	install -m 755 "$here/debian/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find . -type f -not -path './DEBIAN/*' -not -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
# The mode of a directory does not hang on where this was built.
find "$root" -type d -exec chmod 755 {} +

mkdir -p "$out"
package=$out/vitrine_${version}_$arch.deb
# One thread: how xz cuts its input hangs on their number.
dpkg-deb --root-owner-group -Zxz "-z${DEB_LEVEL:-6}" --threads-max=1 --build "$root" "$work/vitrine.deb" >/dev/null
mv "$work/vitrine.deb" "$package"
echo "$package"
