#!/bin/sh
# Apt's sources and lists go to /srv/aside; of the packages that wait, one is held, one automatic, one configured.
set -e
cd /srv
mkdir -p mirror aside/etc aside/lib aside/cache
tar -C mirror --no-same-owner -xf mirror.tar
chmod -R a+rX mirror
if [ ! -e aside/done ]; then
  for name in sources.list sources.list.d; do
    if [ -e "/etc/apt/$name" ]; then mv "/etc/apt/$name" aside/etc/; fi
  done
  mv /var/lib/apt/lists aside/lib/
  mv /var/cache/apt/*.bin aside/cache/ 2>/dev/null || true
  touch aside/done
fi
mkdir -p /etc/apt/sources.list.d /var/lib/apt/lists/partial
echo 'deb [trusted=yes] copy:/srv/mirror stable-security main' >/etc/apt/sources.list.d/civicops-tests.list
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y --no-install-recommends install fv-conf=1.0 fv-app=1.0 fv-held=1.0 >/dev/null
echo 'edited = here' >>/etc/fv-conf.conf
apt-mark -qq hold fv-held
apt-mark -qq auto fv-conf
