"""Findings beyond CVEs, a file each."""
