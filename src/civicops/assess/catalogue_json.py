"""Prints the catalogue of controls as JSON, for whoever reads it at each start: `make docs` writes it to a file."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from civicops.assess.catalogue import folder, from_yaml


def catalogue_json(place: Path) -> str:
    """The files of the catalogue in a directory, and the hash of them that tells whether they are still the same. A
    control is a line, so that a change is one."""
    files = [path.read_bytes() for path in sorted((place / "controls").glob("*.yml"))]
    profiles = (place / "profiles.yml").read_bytes()
    subjects = []
    for raw in files:
        subject = from_yaml(raw)
        controls = ",\n".join(json.dumps(one, ensure_ascii=False) for one in subject.pop("controls"))
        subjects.append(f'{json.dumps(subject, ensure_ascii=False)[:-1]}, "controls": [\n{controls}\n]}}')
    sha256 = hashlib.sha256(b"".join([*files, profiles])).hexdigest()
    told = ",\n".join(subjects)
    return (
        f'{{"sha256": "{sha256}",\n"profiles": {json.dumps(from_yaml(profiles), ensure_ascii=False)},\n'
        f'"controls": [\n{told}\n]}}\n'
    )


if __name__ == "__main__":
    where = folder()
    if where is None:
        sys.exit("civicops was installed without the catalogue")
    sys.stdout.write(catalogue_json(where))
