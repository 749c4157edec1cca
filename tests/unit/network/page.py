"""The parts of docs/network-platforms.md that are made from the data; `python -m tests.unit.network.page` does it."""

from __future__ import annotations

import re

from tests.unit.network.recordings import KNOWN, ROOT

from civicops.network.platform import Config, Platform, platforms

PAGE = ROOT / "docs/network-platforms.md"
BEGINS, ENDS = "<!-- made from the data: {} -->", "<!-- end of {} -->"


def end_of(config: Config) -> str:
    if config.ends:
        return f"`{config.ends.strip('^$')}`"
    return "closed braces" if config.braces else "none"


def known_as(platform: Platform) -> str:
    return ", ".join(f"`{name}`" for name in (platform.id, *platform.aliases))


def table() -> str:
    lines = [
        "| platform | `netmiko_platform` | tested with | asked for | end | support told by |",
        "|---|---|---|---|---|---|",
    ]
    for platform in sorted(platforms().values(), key=lambda one: one.title.lower()):
        tested = ", ".join(platform.recordings) if platform.tested else "**untested**"
        command = platform.running.command.replace("|", "\\|")
        life = f"`{platform.life.product}`" if platform.life else "nobody"
        cells = [platform.title, known_as(platform), tested, f"`{command}`", end_of(platform.running), life]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ways_back() -> str:
    parts = []
    for platform in sorted(platforms().values(), key=lambda one: one.title.lower()):
        mark = "" if platform.tested else " (untested)"
        parts.append(f"**{platform.title}**{mark}\n\n{platform.restore.strip()}")
    return "\n\n".join(parts)


def differences() -> str:
    parts = []
    for name, known in KNOWN.items():
        lines = [f"- `{name}`"]
        lines += [f"  - {difference['why']}" for difference in known.get("differences", ())]
        lines += [f"  - `{ours}` instead of `{theirs}`" for theirs, ours in known.get("instead", {}).items()]
        parts.append("\n".join(lines))
    return "\n".join(parts)


PARTS = {"table": table, "ways back": ways_back, "differences": differences}


def written(text: str) -> str:
    """The page with its parts made anew."""
    for name, part in PARTS.items():
        begins, ends = BEGINS.format(name), ENDS.format(name)
        made = f"{begins}\n\n{part()}\n\n{ends}"
        text, count = re.subn(
            f"{re.escape(begins)}.*?{re.escape(ends)}", lambda _, made=made: made, text, flags=re.DOTALL
        )
        if count != 1:
            raise AssertionError(f"{PAGE.name} has no place for {name}, or several")
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
