#!/bin/sh
# Installs the Debian packages that a task needs and this host lacks.
#
#   scripts/deps.sh build   to compile vitrine and its agent
#   scripts/deps.sh run     to build images and run machines
#   scripts/deps.sh test    to run every test (on top of the two above)
#
# When nothing is missing it asks dpkg once, touches nothing, and needs neither
# root nor a network.
set -eu

# C and C++ compilers and the static codec libraries that the agent is linked
# with; libyuv's own pkg does not draw in the libjpeg that it needs.
build="gcc g++ libc6-dev pkg-config libvpx-dev libyuv-dev libopenh264-dev libjpeg62-turbo-dev"
# The image builder, the keys that it checks packages with, and what makes the
# disks of machines with a kernel of their own; the runtime of containers; the
# firewall and the interfaces.
run="mmdebstrap debian-archive-keyring util-linux ca-certificates crun nftables iproute2 e2fsprogs squashfs-tools"
# A database, a browser to look with, a second opinion on our SSH, the desktop's
# own programs for the runtime without isolation, and a VMM that needs no KVM.
test="postgresql chromium busybox-static tigervnc-standalone-server openbox xauth dbus dbus-x11 pulseaudio fonts-dejavu-core openssh-client qemu-system-x86"

fail() {
	echo "deps: $1" >&2
	echo "  remedy: $2" >&2
	exit 1
}

[ $# -eq 1 ] || fail "one of build, run, test is wanted, got: ${*:-nothing}" "scripts/deps.sh run"
case $1 in
build) want=$build ;;
run) want=$run ;;
test) want=$test ;;
*) fail "there is no set $1" "scripts/deps.sh build, run or test" ;;
esac
command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
	fail "this host has no apt: the set-up knows Debian and its kin" "install by hand what these are called here: $want"

# One line a package that is installed and whole.
have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $want 2>/dev/null | sed -n 's/^installed //p' || true)
missing=
for p in $want; do
	echo "$have" | grep -qx "$p" || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || fail "packages are missing and neither root nor sudo is at hand:$missing" "as root: apt-get install$missing"
	root=sudo
fi
apt() {
	$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@"
}

echo "deps: installing$missing" >&2
log=$(mktemp)
noclusters=/etc/postgresql-common/createcluster.d/vitrine.conf
trap 'rm -f "$log"; [ -z "${cluster:-}" ] || $root rm -f "$noclusters"' EXIT
trap 'exit 130' INT TERM
case $missing in
*postgresql*)
	# Tests start a server of their own, on a socket; none is made for the host.
	cluster=yes
	$root mkdir -p "${noclusters%/*}"
	echo "create_main_cluster = false" | $root tee "$noclusters" >/dev/null
	;;
esac
if ! apt install -y --no-install-recommends $missing >"$log" 2>&1; then
	# Most often the lists are old or were never fetched.
	echo "deps: fetching the package lists" >&2
	apt update >>"$log" 2>&1 || true
	if ! apt install -y --no-install-recommends $missing >>"$log" 2>&1; then
		tail -n 15 "$log" >&2
		fail "apt could not install:$missing" "see the lines above; check that 'apt-get update' works here, then: apt-get install$missing"
	fi
fi
