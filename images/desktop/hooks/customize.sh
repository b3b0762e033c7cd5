#!/bin/sh
# Finishes the desktop tree. $1 is its root; the overlay is already in place.
set -eu
root=$1

chroot "$root" useradd --uid 1000 --create-home --shell /bin/bash user
# Nobody logs in by password; root and user are entered by the agent only.
chroot "$root" passwd --lock root >/dev/null
chroot "$root" passwd --lock user >/dev/null

# Debian's own flags load Google's keys, look for extensions at every start and
# move shared memory to /tmp; the agent says its own flags.
find "$root/etc/chromium.d" -type f ! -name vitrine -delete

# X wants this directory to be sticky and root's, and the root filesystem may be
# read-only below an overlay by the time it starts.
install -d -m 1777 "$root/tmp/.X11-unix" "$root/tmp/.ICE-unix"

# A font cache made here saves every machine a second of its first start. It
# records the directories' times, so those are set first, and to what the
# finished image will have.
find "$root/usr/share/fonts" "$root/usr/local/share/fonts" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
rm -rf "$root/var/cache/fontconfig"
install -d "$root/var/cache/fontconfig"
chroot "$root" fc-cache --system-only --force
