"""The JSON Schema of the town file, for editors: `python -m civicops.town.schema` prints it."""

from __future__ import annotations

import json
import sys

from .model import TownFile


def schema_text() -> str:
    """The schema as text, always the same for the same model."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **TownFile.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
