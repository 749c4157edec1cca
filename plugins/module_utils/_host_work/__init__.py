# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Work that belongs to the host: started once, looked at as often as wanted, and safe from the controller's death.

C(wrapper) is the program that runs on the host by itself, C(place) finds the directory, C(launch) starts the program,
and C(work) decides. docs/host-work.md tells what an administrator sees of it.
"""
