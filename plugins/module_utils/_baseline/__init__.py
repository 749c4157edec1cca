# Copyright: the civicops.town authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to the collection civicops.town.
"""The module C(baseline): what a host's settings are against a catalogue of controls, and putting them right.

A control is data: an id, a type and its parameters. A type (one small class each, in C(types/)) knows what is
there now and how to mend it. Everything that is changed goes through C(host.Host), which saves it first in the run's
restore point; so one way of taking back serves all types.
"""
