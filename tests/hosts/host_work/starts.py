"""Starts a piece of work on this host by the module's own code: `starts.py RUN SECONDS [start|look]`; prints its state.

Runs on the test host, beside a copy of the collection's module_utils.
"""

import json
import sys

from ansible_collections.civicops.town.plugins.module_utils._host_work.work import Permit, Work
from ansible_collections.civicops.town.plugins.module_utils._host_work.wrapper import boottime

run, seconds, may_start = sys.argv[1], sys.argv[2], sys.argv[3] == "start"
part = {"run": run, "job": "wait", "seconds": 600, "needed": 1, "may_start": may_start}
command = [sys.executable, "-c", "import sys, time; time.sleep(float(sys.argv[1]))", seconds]
print(json.dumps(Work(Permit.read(part, boottime()), command).start_or_adopt().values()))
