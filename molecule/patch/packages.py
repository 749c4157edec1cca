"""`packages.py FILE`, with the clone in PYTHONPATH: a tar file with a mirror of packages at 1.0 and at 1.1."""

from __future__ import annotations

import sys
import tarfile

from tests.hosts.repository import Package, Repository, configured, grows


def main(place: str) -> None:
    with Repository() as repository:
        repository.add(configured("1.0"), configured("1.1"), *grows())
        repository.add(*(Package("fv-held", version) for version in ("1.0", "1.1")))
        repository.publish()
        with tarfile.open(place, "w") as archive:
            archive.add(repository.folder / "pool", "pool")
            archive.add(repository.folder / "dists", "dists")


if __name__ == "__main__":
    main(sys.argv[1])
