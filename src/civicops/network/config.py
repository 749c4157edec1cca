"""A device's configuration: whether it is whole, and its form for git, without secrets and without what only ticks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import get_args

from civicops.network.platform import Absent, Block, Config, Platform, Sign, compiled
from civicops.network.redact import LONGEST_LINE, Fingerprint, constant, lines_of, redact_all, unmarked

# Tabs and line ends are text, and so is the ETX that Cisco shows around a banner.
_CONTROLS = re.compile("[\x00-\x02\x04-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
# What turns the order of reading around, or is not seen at all: in git it stands as an escape.
_TURNING = re.compile("[\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
MOST_SHOWN = 256 * 1024  # characters of an answer that stands above a configuration
_PAGER = re.compile(
    r"(?i)^\s*(-{2,}\s*more\s*-{2,}.*|<-+ more -+>|press any key to continue.*|-+ ?\(more[^)]*\) ?-+|lines \d+-\d+.*)$"
)
_TALK = 3  # lines from the first, among which a device says that it refuses


def answer_of(config: Config, answers: Mapping[str, str]) -> str | None:
    """The answer to the configuration's command, or to one of its other names; None where there is none."""
    return next((answers[one] for one in (config.command, *config.otherwise) if one in answers), None)


def body(platform: Platform, raw: str, config: Config | None = None) -> str:
    """The configuration itself, without the device's talk above it. Empty where it has no beginning."""
    config = config or platform.running
    lines = raw.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if config.begins is not None:
        begins = compiled(config.begins)
        first = next((number for number, line in enumerate(lines) if begins.search(line[:LONGEST_LINE])), len(lines))
        lines = lines[first:]
    text = "\n".join(lines).rstrip()
    return f"{text}\n" if text else ""


def why_partial(platform: Platform, raw: str, config: Config | None = None) -> str | None:
    """Why the text is not a whole configuration, in words that hold nothing of it; None where it is whole."""
    config = config or platform.running
    said = [line for line in raw.replace("\r", "\n").split("\n") if line.strip()]
    if not said:
        return "it is empty"
    refused = compiled(platform.refused)
    if any(refused.search(line[:LONGEST_LINE]) for line in [*said[:_TALK], said[-1]]):
        return "the device refused the command"
    lines = body(platform, raw, config).split("\n")[:-1]
    if not lines:
        return "its beginning is missing"
    if any(_CONTROLS.search(line) for line in lines):
        return "it holds control characters"
    pager = compiled(platform.pager) if platform.pager else _PAGER
    if any(_PAGER.search(line[:200]) or pager.search(line[:200]) for line in lines):
        return "what the pager shows between two pages stands in it"
    if config.ends is not None and not compiled(config.ends).search(lines[-1][:LONGEST_LINE]):
        return "its end marker is missing"
    if config.braces and (opened := _open_braces(lines)):
        return f"{opened} of its braces are not closed" if opened > 0 else "it closes more braces than it opens"
    return None


def normalise(platform: Platform, text: str) -> str:
    """The same text for the same configuration: nothing that ticks, and a constant for what is encrypted anew."""
    lines = _without_blocks(constant(platform, lines_of(platform, text)), platform.volatile_blocks)
    return _joined(_without(lines, platform.volatile))


def kept_text(
    platform: Platform, answers: Mapping[str, str], fingerprint: Fingerprint, known: Collection[str] = ()
) -> str:
    """What git gets: what the device is, as comments, and its configuration, both without secrets.

    :param known: secrets that are known beforehand.
    :param answers: by command; one of them is that for the running configuration.
    :raises KeyError: that one is missing.
    """
    given = answer_of(platform.running, answers)
    if given is None:
        raise KeyError(platform.running.command)
    shown = [fact for fact in platform.facts if fact.shown and fact.command in answers]
    said = [body(platform, given), *(answers[fact.command][:MOST_SHOWN] for fact in shown)]
    texts = redact_all(platform, [unmarked(text) for text in said], fingerprint, known)
    above: list[str] = []
    for fact, text in zip(shown, texts[1:], strict=True):
        lines = lines_of(platform, text)
        if fact.keep:
            lines = [line for line in lines if any(compiled(one).search(line[:LONGEST_LINE]) for one in fact.keep)]
        lines = _without(lines, (*fact.drop, *platform.volatile))
        comment = _joined(lines).strip("\n").replace("\x03", "^C")
        if comment:
            above += [
                *(f"{platform.comment}{line}".rstrip() for line in comment.split("\n")),
                platform.comment.rstrip(),
            ]
    return "".join(f"{line}\n" for line in above) + normalise(platform, texts[0])


def signs(platform: Platform, text: str) -> dict[Sign, bool | None]:
    """What the configuration says of its dangers; None where nothing is known of how this platform says it."""
    lines = [line[:LONGEST_LINE] for line in lines_of(platform, text)]
    found: dict[Sign, bool | None] = dict.fromkeys(get_args(Sign))
    for sign, judged in platform.signs.items():
        if isinstance(judged, Absent):
            found[sign] = not _any(judged.absent, lines)
        elif judged is not None:
            found[sign] = _any(judged, lines)
    return found


def _any(expression: str, lines: Iterable[str]) -> bool:
    search = compiled(expression).search
    return any(search(line) for line in lines)


def _open_braces(lines: Iterable[str]) -> int:
    opened = 0
    for line in lines:
        text = line.partition("##")[0].rstrip()
        opened += text.endswith("{")
        opened -= text.strip() in ("}", "};")
    return opened


def _without(lines: Iterable[str], expressions: Sequence[str]) -> list[str]:
    searches = [compiled(expression).search for expression in expressions]
    return [line for line in lines if not any(search(line[:LONGEST_LINE]) for search in searches)]


def _without_blocks(lines: Sequence[str], blocks: Sequence[Block]) -> list[str]:
    """The lines without those blocks; one that does not end is none, and stays."""
    kept, at = list(lines), 0
    for block in blocks:
        lines, kept, at = kept, [], 0
        begins, ends, holds = (compiled(one) for one in (block.begins, block.ends, block.holds or ""))
        last = max((number for number, line in enumerate(lines) if ends.search(line[:LONGEST_LINE])), default=-1)
        while at < len(lines):
            if at < last and begins.search(lines[at][:LONGEST_LINE]):
                end = at + 1
                while not ends.search(line := lines[end][:LONGEST_LINE]) and holds.search(line):
                    end += 1
                if ends.search(lines[end][:LONGEST_LINE]):
                    at = end + 1
                    continue
            kept.append(lines[at])
            at += 1
    return kept


def _joined(lines: Iterable[str]) -> str:
    """The lines, each with its end, without white space at theirs; of several blank ones one, and none at the end."""
    kept: list[str] = []
    for line in lines:
        text = _TURNING.sub(lambda found: f"\\u{ord(found[0]):04x}", line.rstrip().replace("\x03", "^C"))
        if text or (kept and kept[-1]):
            kept.append(text)
    while kept and not kept[-1]:
        kept.pop()
    return "".join(f"{line}\n" for line in kept)
