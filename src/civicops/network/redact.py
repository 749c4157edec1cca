"""Secrets out of a device's configuration: each one becomes a keyed fingerprint, so that a change of it still shows.

First the rules of the platform, then rules that hold for all. What any of them finds is then looked for in the whole
text. What a device says is hostile: nothing here takes more than time in proportion to its length.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from civicops.network.common import HINT, WORDS, Span, common_spans, free, merged, whole
from civicops.network.platform import Block, Platform, Scope, compiled

Fingerprint = Callable[[str], str]

LONGEST_LINE = 4096
"""A longer line in which anything hints at a secret is replaced as a whole."""
MOST_SHAPES = 32
"""So many secrets may begin with the same word before any word that begins so is taken for one of them."""
SHORTEST_KNOWN = 5  # characters; a shorter password may be part of any word
MOST_ROUNDS = 8

# A placeholder while we work: one word, unlike `<secret 3f9a0c12be77>`. Both characters are private ones of Unicode.
_OPEN, _CLOSE = "\ue000", "\ue001"
_TOKEN = re.compile(f"{_OPEN}[0-9a-f]*{_CLOSE}")
_PLACEHOLDER = re.compile("<secret(?: ([0-9a-f]{12}))?>")
# Where a word ends, when we look for a secret elsewhere.
_ATOM = re.compile(r"""[^\s"'`=,;:@/()\[\]{}<>|\\]+""")
_EDGE = re.compile(r"""[\s"'`=,;:@/()\[\]{}<>|\\]""")

_PEM = Block(
    begins=r"(?P<secret>-----? ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-----?)",
    ends=r"(?P<secret>-----? ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-----?)",
)
# A line between the first and the last of a key.
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{0,80}|[A-Z][A-Za-z-]{1,20}: [\w,-]{1,80}")
_GROUPS = ("secret", "secret2", "secret3", "secret4")


def fingerprinter(key: bytes) -> Fingerprint:
    """12 hex digits of the HMAC of a secret: the same for the same secret, and no word on it without the key."""

    def fingerprint(secret: str) -> str:
        return hmac.new(key, secret.encode("utf-8", "surrogatepass"), sha256).hexdigest()[:12]

    return fingerprint


def redact(platform: Platform, text: str, fingerprint: Fingerprint) -> str:
    """The text with `<secret 3f9a0c12be77>` for each secret, `<secret>` for one that is encrypted anew each time.

    Redacting what is redacted changes nothing.
    """
    return redact_all(platform, [text], fingerprint)[0]


def redact_all(
    platform: Platform, texts: Sequence[str], fingerprint: Fingerprint, known: Collection[str] = ()
) -> list[str]:
    """The same for texts of one device: a secret that one of them gives away is replaced in all.

    :param known: secrets that are known beforehand, such as the password that the device was logged in to with; they
        are replaced wherever they stand.
    """
    work = [_protect(text) for text in texts]
    for value in sorted(known, key=len, reverse=True):
        if len(value) >= SHORTEST_KNOWN:
            work = [text.replace(value, f"{_OPEN}{fingerprint(value)}{_CLOSE}") for text in work]
    for _ in range(MOST_ROUNDS):
        redaction = _Redaction(platform, fingerprint)
        after = [redaction.by_rules(text) for text in work]
        after = [redaction.elsewhere(text) for text in after]
        if after == work:
            break
        work = after
    return [_TOKEN.sub(lambda found: _shown(found.group()), text) for text in work]


def unmarked(text: str) -> str:
    """A device's own text, with nothing in it that looks as if we had put it in the place of a secret: a password
    `<secret 3f9a0c12be77>` would seem to be the one that git has."""
    return _PLACEHOLDER.sub(lambda found: f"<no-{found.group()[1:]}", text)


def lines_of(platform: Platform, text: str) -> list[str]:
    """The lines without their ends; one that the device broke in two is one again."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if platform.continues is None:
        return lines
    continues, whole, parts = compiled(platform.continues), list[str](), list[str]()
    for line in lines:
        rest = line.lstrip() if parts else line
        found = continues.search(rest, max(0, len(rest) - LONGEST_LINE))
        if found:
            parts.append(rest[: found.start()])
        else:
            whole.append("".join([*parts, rest]))
            parts = []
    return whole if not parts else [*whole, "".join(parts)]


def constant(platform: Platform, lines: Sequence[str]) -> list[str]:
    """The lines with `<secret>` for what the device encrypts anew each time; all other secrets stay."""
    redaction = _Redaction(platform, lambda _: "", only_unstable=True)
    text = redaction.by_rules(_protect("\n".join(lines)))
    return _TOKEN.sub(lambda found: _shown(found.group()), text).split("\n")


def _protect(text: str) -> str:
    text = text.replace(_OPEN, "\ufffd").replace(_CLOSE, "\ufffd")
    return _PLACEHOLDER.sub(lambda found: f"{_OPEN}{found.group(1) or ''}{_CLOSE}", text)


def _shown(token: str) -> str:
    mark = token[1:-1]
    return f"<secret {mark}>" if mark else "<secret>"


_Rule = tuple[re.Pattern[str], Sequence[str], bool]
"""An expression, which of its groups are secrets, and whether the device shows them the same each time."""


def _rule(expression: re.Pattern[str], stable: bool = True) -> _Rule:
    return expression, [name for name in _GROUPS if name in expression.groupindex], stable


@dataclass
class _Redaction:
    """One round: what the rules find, and then the same values wherever else they stand."""

    platform: Platform
    fingerprint: Fingerprint
    only_unstable: bool = False
    _values: dict[str, str] = field(default_factory=dict)  # the secrets found, and what stands for each
    _starts: set[str] = field(default_factory=set)  # the first words of all lines: the device's command language

    def __post_init__(self) -> None:
        platform, stable = self.platform, not self.only_unstable
        rules = [(compiled(rule), False) for rule in platform.unstable]
        rules += [(compiled(rule), True) for rule in platform.secrets if stable]
        self._rules = [_rule(rule, lasting) for rule, lasting in rules]
        self._scopes = [
            (scope, [_rule(compiled(rule)) for rule in scope.secrets]) for scope in platform.scopes if stable
        ]
        self._blocks = [(block, False) for block in platform.unstable_blocks]
        self._blocks += [(block, True) for block in (*platform.blocks, _PEM) if stable]

    def by_rules(self, text: str) -> str:
        lines, done, at = lines_of(self.platform, text), list[str](), 0
        scope: tuple[Scope, list[_Rule]] | None = None
        while at < len(lines):
            first = lines[at]
            if scope and compiled(scope[0].ends).search(first[:LONGEST_LINE]):
                scope = None
            inside = scope[1] if scope else []
            scope = scope or self._scope(first)
            block, begins, stable = self._block(first)
            if block is None or begins is None:
                done.append(self._line(first, inside))
                at += 1
                continue
            before, content, after, at = _cut(lines, at, block, begins)
            stable = stable or not _is_key(content)
            token = self._hide(content, stable) if content.strip() else content
            if "secret" in begins.re.groupindex:
                done.append(self._line(f"{before}{token}{after or ''}"))
                continue
            done.append(self._line(before))
            done += [token] if token else []
            done += [self._line(after)] if after is not None else []
        return "\n".join(done)

    def _block(self, line: str) -> tuple[Block | None, re.Match[str] | None, bool]:
        for block, stable in self._blocks:
            found = compiled(block.begins).search(line)
            if found:
                return block, found, stable
        return None, None, True

    def _scope(self, line: str) -> tuple[Scope, list[_Rule]] | None:
        return next((one for one in self._scopes if compiled(one[0].begins).search(line[:LONGEST_LINE])), None)

    def _line(self, line: str, inside: Sequence[_Rule] = ()) -> str:
        core = line.rstrip()
        self._starts.add(core.split(None, 1)[0] if core else "")
        if len(core) > LONGEST_LINE:
            return self._long(core, inside)
        found = False
        while spans := merged(self._spans(core, inside)):
            parts, at, found = list[str](), 0, True
            for span in spans:
                parts += [core[at : span.start], self._hide(core[span.start : span.end], span.stable)]
                at = span.end
            core = "".join(parts) + core[at:]
        return core if found else line

    def _long(self, core: str, inside: Sequence[_Rule]) -> str:
        text = core.strip()
        if _TOKEN.fullmatch(text) or not (
            (HINT.search(core) and not self.only_unstable)
            or any(rule.search(core[:LONGEST_LINE]) for rule, _, _ in (*self._rules, *inside))
        ):
            return core
        return core[: min(len(core) - len(core.lstrip()), 80)] + self._hide(text, stable=not self.only_unstable)

    def _spans(self, core: str, inside: Sequence[_Rule]) -> Iterator[Span]:
        tokens = [found.span() for found in _TOKEN.finditer(core)] if _OPEN in core else []
        for rule, groups, stable in (*self._rules, *inside):
            for found in rule.finditer(core):
                for name in groups:
                    start, end = found.span(name)
                    span = free(whole(core, start, end), tokens) if start < end else None
                    if span:
                        yield Span(*span, stable)
        if not self.only_unstable and HINT.search(core):
            yield from common_spans(core, tokens)

    def _hide(self, value: str, stable: bool) -> str:
        if _TOKEN.fullmatch(value.strip()):
            return value.strip()
        token = f"{_OPEN}{self.fingerprint(value)}{_CLOSE}"
        # Elsewhere with its fingerprint always: else what anybody writes behind an ENC would change unseen everywhere.
        self._values.setdefault(value, token)
        return token if stable else f"{_OPEN}{_CLOSE}"

    def elsewhere(self, text: str) -> str:
        sought = {value: token for value, token in self._values.items() if self._worth(value)}
        shapes: dict[str, set[tuple[int, int]]] = {}
        for value in sought:
            atom = _ATOM.search(value)
            if atom:
                shapes.setdefault(atom.group(), set()).add((atom.start(), len(value)))
        if not shapes:
            return text
        seek = _Seek(sought, {atom: sorted(some, key=lambda shape: -shape[1]) for atom, some in shapes.items()})
        return "\n".join(self._replaced(line, seek) for line in text.split("\n"))

    def _worth(self, value: str) -> bool:
        if _OPEN in value or "\n" in value or len(value) < 3 or (value.isdigit() and len(value) < 6):
            return False
        return value.lower() not in WORDS and not (value in self._starts and value.replace("-", "").islower())

    def _replaced(self, line: str, seek: _Seek) -> str:
        parts, at = list[str](), 0
        for token in _TOKEN.finditer(line):
            parts += [self._sought(line[at : token.start()], seek), token.group()]
            at = token.end()
        return "".join(parts) + self._sought(line[at:], seek)

    def _sought(self, piece: str, seek: _Seek) -> str:
        parts, at = list[str](), 0
        for atom in _ATOM.finditer(piece):
            found = seek.at(piece, atom, at) if atom.start() >= at else None
            if found:
                start, end = found
                value = piece[start:end]
                parts += [piece[at:start], seek.values.get(value) or f"{_OPEN}{self.fingerprint(value)}{_CLOSE}"]
                at = end
        return "".join(parts) + piece[at:] if parts else piece


@dataclass(frozen=True)
class _Seek:
    values: dict[str, str]
    shapes: dict[str, list[tuple[int, int]]]
    """By the first word of a value: how far into it that stands, and how long it is; the longest first."""

    def at(self, piece: str, atom: re.Match[str], least: int) -> tuple[int, int] | None:
        word = atom.group()
        for key in {word: None, word.rstrip(".!?"): None}:
            shapes = self.shapes.get(key, ())
            if len(shapes) > MOST_SHAPES:
                end = atom.end()
                while end < len(piece) and not piece[end].isspace():
                    end += 1
                return atom.start(), end
            for offset, length in shapes:
                start = atom.start() - offset
                end = start + length
                if (
                    start >= least
                    and end <= len(piece)
                    and piece[start:end] in self.values
                    and _alone(piece, start, end)
                ):
                    return start, end
        return None


def _alone(piece: str, start: int, end: int) -> bool:
    """Whether what stands there is a word of its own, not a part of one."""
    if start and not _EDGE.match(piece[start - 1]) and not _EDGE.match(piece[start]):
        return False
    if end == len(piece) or _EDGE.match(piece[end]) or _EDGE.match(piece[end - 1]):
        return True
    return piece[end] in ".!?" and (end + 1 == len(piece) or piece[end + 1].isspace())


def _is_key(content: str) -> bool:
    """Whether a block holds a key, and so is encrypted as a whole; not what anybody has put behind its first line."""
    lines = content.split("\n")
    return "-----END " in lines[-1] and all(_KEY_LINE.fullmatch(line) for line in lines[1:-1])


def _cut(lines: Sequence[str], at: int, block: Block, begins: re.Match[str]) -> tuple[str, str, str | None, int]:
    """A block: what stands before it, the secret, what stands after it, and the first line that is not its.

    One that does not end takes all that follows.
    """
    first, ends = lines[at], compiled(block.ends)
    inside = "secret" in begins.re.groupindex
    start = begins.start("secret") if inside else len(first)
    found = ends.search(first, begins.end()) if inside else None
    if found:
        end = found.end("secret") if "secret" in ends.groupindex else found.start()
        return first[:start], first[start:end], first[end:], at + 1
    content = [first[start:]] if inside else []
    for number in range(at + 1, len(lines)):
        found = ends.search(lines[number])
        if not found:
            content.append(lines[number].strip())
            continue
        end = found.end("secret") if "secret" in ends.groupindex else 0
        if end:
            content.append(lines[number][:end].strip())
        return first[:start], "\n".join(content), lines[number][end:], number + 1
    return first[:start], "\n".join(content), None, len(lines)
