"""Code that an action sends along: all that the module needs, and nothing by which a host's log or another answer could
be harmed."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from ansible_collections.civicops.town.plugins.module_utils._document import unpacked
from ansible_collections.civicops.town.plugins.plugin_utils import carried
from ansible_collections.civicops.town.plugins.plugin_utils.twin import DocumentAction

ROOT = Path(__file__).parents[4]
PLUGINS = "ansible_collections.civicops.town.plugins"
UTILS = f"{PLUGINS}.module_utils"


def carrying() -> dict[str, str]:
    """The modules whose action sends code, and where they go on."""
    found = {}
    for path in sorted((ROOT / "plugins/action").glob("*.py")):
        action = import_module(f"{PLUGINS}.action.{path.stem}").ActionModule
        if issubclass(action, DocumentAction):
            found[path.stem] = action.main
    return found


CARRYING = carrying()


FINDER = f"""
import datetime, io, json, sys, zipfile
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([])
from ansible._internal._ansiballz._builder import ExtensionManager
from ansible.executor.module_common import recursive_finder
found = {{}}
for name, text in json.load(sys.stdin).items():
    archive = zipfile.ZipFile(io.BytesIO(), "w")
    now = datetime.datetime.now(datetime.timezone.utc)
    recursive_finder("any", "{PLUGINS}.modules.any", text, archive, now, ExtensionManager())
    found[name] = archive.namelist()
print(json.dumps(found))
"""


@cache
def as_ansible_finds() -> dict[str, set[str]]:
    """What Ansible itself would send of ours, for each `main`, and for each of the modules."""
    texts = {main: f"from {UTILS}.{main} import main\n" for main in CARRYING.values()}
    texts |= {module: (ROOT / "plugins/modules" / f"{module}.py").read_text() for module in CARRYING}
    done = subprocess.run(
        [sys.executable, "-c", FINDER], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    return {
        name: {part for file in files if (part := part_of(file))} for name, files in json.loads(done.stdout).items()
    }


def part_of(file: str) -> str | None:
    """The name below `module_utils` of a file in Ansible's archive."""
    inside = file.removeprefix(f"{UTILS.replace('.', '/')}/")
    name = inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return None if inside == file or name == "__init__" else name


def test_the_modules_of_every_night_send_theirs() -> None:
    assert {"host_info", "baseline", "backup_info", "patch_info", "patch_stage", "patch"} <= set(CARRYING)


@pytest.mark.parametrize("module", CARRYING)
def test_it_is_what_ansible_would_find(module: str) -> None:
    main = CARRYING[module]
    sent = set(unpacked(carried.code_of(main)))
    assert sent == as_ansible_finds()[main]


@pytest.mark.parametrize("module", CARRYING)
def test_the_module_goes_on_where_its_action_says_and_ansible_sends_little_of_ours(module: str) -> None:
    text = (ROOT / "plugins/modules" / f"{module}.py").read_text()
    assert f'run(module, "{CARRYING[module]}")' in text
    assert as_ansible_finds()[module] <= {"_document", "_patch", "_patch.specs"}


@pytest.mark.parametrize("main", sorted(set(CARRYING.values())))
def test_it_is_loaded_where_none_of_it_lies_in_files(main: str, tmp_path: Path) -> None:
    """As on a host: beside the module lies what Ansible has sent, and nothing else of ours."""
    folder = tmp_path.joinpath(*UTILS.split("."))
    folder.mkdir(parents=True)
    for package in [folder, *folder.parents][: len(UTILS.split("."))]:
        (package / "__init__.py").touch()
    (folder / "_document.py").write_text((ROOT / "plugins/module_utils/_document.py").read_text())
    program = f"""
import json, sys
from {UTILS} import _document
sys.meta_path.insert(0, _document.Carried(_document.unpacked(sys.stdin.read())))
main = _document.importlib.import_module("{UTILS}.{main}")
assert callable(main.main)
ours = {{name: module for name, module in sys.modules.items() if name.startswith("{UTILS}._")}}
print(json.dumps({{name: module.__spec__.loader.get_source(name) for name, module in ours.items()}}))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{program}"],
        input=carried.code_of(main),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    for name, text in loaded.items():
        file = ROOT.joinpath("plugins", "module_utils", *name.removeprefix(f"{UTILS}.").split("."))
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        assert text == file.read_text(), "programs that stay on the host are made of these texts"
    compiled = {file.name.split(".")[0] for file in tmp_path.rglob("*.pyc")}
    assert compiled <= {"_document", "__init__"}, "nothing of what was sent is kept"


def test_an_error_in_it_shows_its_file_and_line(tmp_path: Path) -> None:
    code = carried.packed(json.dumps({"_broken": "import sys\n\ndef main(module):\n    return 1 / 0\n"}))
    program = f"""
from {UTILS} import _document
class M: params = {{"twin": True, "code": {code!r}}}
_document.run(M, "_broken")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert 'File "_broken.py", line 4, in main' in done.stderr


@pytest.mark.parametrize("text", ["[]", "{}", '""'])
def test_the_shortest_value_is_too_long_to_be_blanked_out_elsewhere(text: str) -> None:
    """Ansible takes what is not for a log for a secret, and blanks it out wherever it stands in an answer."""
    assert len(carried.packed(text)) >= 12
    assert unpacked(carried.packed(text)) == json.loads(text)
