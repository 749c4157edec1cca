# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Patching a host, and taking it back.

C(plan) decides what is to be installed and what stands in the way, C(night) is the program that does it on the host by
itself, C(chain) starts it, goes on with it after a reboot or a power cut, and tells how it stands. A package manager is
one class in one file: C(apt), C(dnf). docs/patch-night.md tells what an administrator sees of it.
"""
