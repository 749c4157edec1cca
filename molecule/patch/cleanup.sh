#!/bin/sh
# The host as it was before prepare.sh: other scenarios share it.
set -e
[ -e /srv/aside/done ] || exit 0
apt-mark -qq unhold fv-held || true
DEBIAN_FRONTEND=noninteractive dpkg --purge fv-conf fv-app fv-extra fv-held >/dev/null 2>&1 || true
rm -rf /etc/apt/sources.list.d /var/lib/apt/lists /var/cache/apt/*.bin /etc/fv-conf.conf*
for name in sources.list sources.list.d; do
  if [ -e "/srv/aside/etc/$name" ]; then mv "/srv/aside/etc/$name" /etc/apt/; fi
done
mv /srv/aside/lib/lists /var/lib/apt/
mv /srv/aside/cache/*.bin /var/cache/apt/ 2>/dev/null || true
systemctl stop 'civicops-patch-molecule-patch*' || true
systemctl reset-failed
rm -rf /srv/aside /srv/mirror /srv/mirror.tar /var/cache/civicops /var/lib/civicops/runs/molecule-patch
