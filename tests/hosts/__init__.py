"""Real hosts for tests: Debian with systemd, sshd and apt, in podman, reached over SSH.

Standard library only, so that `python3 -m tests.hosts down` works without the virtual environment.
`docs/testing.md` says how the pieces are used.
"""
