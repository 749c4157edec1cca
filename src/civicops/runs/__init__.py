"""Runs: one execution of a job for one town, from its start to its end, however it ends."""
