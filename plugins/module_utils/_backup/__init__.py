# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""Backups that belong to the host: C(client) is the program that a timer starts on each host, C(witness) the one that
looks at the repositories on the server, without their passwords. docs/backup.md tells what an administrator sees.
"""
