"""Where towns are.

A town is a directory in an inventories directory, with the file `group_vars/all/town.yml`.
The inventories directory is the first of: the one that is given (`--inventories`), the
environment's `$CIVICOPS_INVENTORIES`, `./inventories`. A town that is not in it is looked for
among the towns embedded in the package (`localhost`).
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from .problems import cant_read, echo, whole

ENVIRONMENT = "CIVICOPS_INVENTORIES"
TOWN_FILE = Path("group_vars", "all", "town.yml")
"""The town file inside of the town's directory."""


def inventories_dir(given: Path | None = None) -> Path | None:
    """The inventories directory in use, None if there is none; raises TownFileError if a named one is no directory."""
    named = [(given, "--inventories"), (os.environ.get(ENVIRONMENT) or None, f"${ENVIRONMENT}")]
    for path, origin in named:
        if path is not None:
            if not Path(path).is_dir():
                raise whole(path, f"{origin} is not a directory", "name the directory that holds the towns")
            return Path(path)
    here = Path("inventories")
    return here if here.is_dir() else None


def embedded_dir() -> Path | None:
    """The towns that the package brings, None where it was installed without them."""
    package = Path(str(resources.files("civicops")))
    clone = package.parents[1]
    # An editable installation has them where the clone does.
    path = clone / "inventories" if (clone / "galaxy.yml").is_file() else package / "inventories"
    return path if path.is_dir() else None


def find_towns(inventories: Path | None = None) -> list[Path]:
    """The towns' directories by name: those with a town file or a hosts.yml. Raises TownFileError.

    Without an inventories directory (see `inventories_dir`): the embedded towns.
    """
    root = inventories_dir(inventories) or embedded_dir()
    if root is None:
        return []
    try:
        return sorted(path for path in root.iterdir() if _is_town(path))
    except OSError as error:
        raise whole(root, cant_read(error), "make it readable for this user") from None


def town_dir(name: str, inventories: Path | None = None) -> Path:
    """The directory of the town with this name; raises TownFileError, naming the towns that there are."""
    roots = [root for root in (inventories_dir(inventories), embedded_dir()) if root is not None]
    for root in roots:
        if name == Path(name).name and name not in ("", ".", "..") and _is_town(root / name):
            return root / name
    known = sorted({path.name for root in roots for path in find_towns(root)})
    where = str(roots[0]) if roots else "inventories"
    near = get_close_matches(Path(name).name[:60], known, n=1)
    listed = ", ".join(echo(one)[1:-1] for one in known[:12]) + (", ..." if len(known) > 12 else "")
    if near:
        remedy = f"perhaps {echo(near[0])}"
    elif inventories_dir(inventories) is None:
        remedy = f"name your towns' directory with --inventories or ${ENVIRONMENT}; the package itself brings {listed}"
    elif known:
        remedy = f"there are, with those that the package brings: {listed}"
    else:
        remedy = f"there is none; name another directory with --inventories or ${ENVIRONMENT}"
    raise whole(where, f"there is no town {echo(name)}", remedy)


def _is_town(path: Path) -> bool:
    hidden = path.name.startswith((".", "_"))
    return not hidden and any(os.path.lexists(path / one) for one in (TOWN_FILE, "hosts.yml"))
