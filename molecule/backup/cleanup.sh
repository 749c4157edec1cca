#!/bin/sh
# Removes what the scenario has brought: units, programs, settings, packages, backups.
set -e
cd /etc/systemd/system
for unit in civicops-backup* civicops-restic*; do
  [ ! -e "$unit" ] || systemctl --quiet disable --now "$unit" 2>/dev/null || true
done
rm -f civicops-backup* civicops-restic*
systemctl daemon-reload
systemctl reset-failed
rm -rf /etc/civicops /var/lib/civicops/backup* /var/lib/civicops/programs /srv/backup /var/cache/civicops-restic
userdel backup-molecule 2>/dev/null || true
export DEBIAN_FRONTEND=noninteractive
for name in restic rclone apache2-utils; do ! dpkg -s $name > /dev/null 2>&1 || apt-get -y -q purge $name > /dev/null; done
apt-get -y -q autoremove --purge > /dev/null
case $(hostname) in bookworm) ;; *) rm -rf /var/lib/apt/lists/* ;; esac
