#!/bin/sh
# Every file of a host with size, mode, owner and time of change, but for what a running system and a login write.
find / -xdev \( -path /var/log -o -path /tmp -o -path /var/tmp -o -path /root/.ansible \) -prune -o \
  -type f -printf '%p %s %m %u:%g %T@\n' | sort
