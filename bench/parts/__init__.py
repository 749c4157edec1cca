"""The parts of the bench, found by name. A part has `TITLE` and `run(options) -> Section`."""
