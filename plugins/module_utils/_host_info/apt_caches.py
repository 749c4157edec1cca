# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""apt's binary caches, used without a write to them.

apt may use its own through a link in a private folder; if it finds that cache outdated, what it writes replaces the
link and not the cache.
"""

from __future__ import annotations

import os
from typing import Dict

from .context import Context

CACHES = ("pkgcache", "srcpkgcache")
# What apt's binary cache is made from; folders change with the names in them.
APT_INPUTS = (
    "/var/lib/apt/lists",
    "/var/lib/dpkg/status",
    "/etc/apt",
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
    "/etc/apt/preferences.d",
)
FOLDER = "/var/cache/apt"


def private_caches(ctx: Context, make: bool = False) -> Dict[str, str]:
    """Where apt may look for its binary caches: a link to each in our own folder, or nowhere.

    Only a cache younger than all lists is linked: an outdated one would make apt write a new one of some 40 MB. With
    C(make) it may, in our own folder: several questions are to come, and without one each would cost a second.
    """
    newest = max(ctx.mtime(path) or 0.0 for path in APT_INPUTS)
    cache = ctx.mtime(f"{FOLDER}/pkgcache.bin")
    fresh = cache is not None and cache >= newest
    if ctx.private_folder is None or not (fresh or make):
        return dict.fromkeys(CACHES, "")
    places = {}
    for name in CACHES:
        there, link = ctx.path(f"{FOLDER}/{name}.bin"), os.path.join(ctx.private_folder, f"{name}.bin")
        if os.path.exists(there) and not os.path.lexists(link):
            os.symlink(there, link)
        places[name] = link
    return places
