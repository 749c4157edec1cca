"""What is a secret in any vendor's configuration, and where exactly it begins and ends in its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_QUOTES = "\"'"
_PREFIX = r"(?i)(?<![\w=,-])(?:[a-z0-9]{1,20}[-_]){0,3}"
_HOW = (
    r"(?:(?:\d|type|type \d|encrypted|encrypt|plain|plaintext|plain-text|ciphertext|cipher|cypher|simple|hash"
    r"|hashed|sha\d*|sha-\d+|md5|bcrypt|pbkdf2|ascii-text|hexadecimal|ascii|hex|clear|cleartext|clear-text"
    r"|text)[ \t]+){0,3}"
)
_NAMED = (
    r"(?:password|passwd|pwd|passphrase|passcode|secret|psk|psksecret|wpa-?key|wepkey|pre-?shared-?(?:key|secret)"
    r"|(?:shared|server|auth|authentication|encryption|encrypted|private|privacy|security|session|sha|md5|priv|host"
    r"|community|virtual-controller|pac|ams|ams-backup|papi|otp|totp|ddns|isakmp|plaintext|cryptographic)[ _-]keys?"
    r"|key-?(?:string|octet-string|text|phrase|value)|keystring|auth-?pass|priv-?pass|authkey|privkey|pin|token"
    r"|credentials?|phash|cak)"
)
_COMMON = tuple(
    re.compile(expression)
    for expression in (
        r"(?<![\w$])(?P<secret>\$(?:\d{1,2}|2[abxy]|h\$\d|c\$\d|y|gy|7y|sha1|sha256|sha512|pbkdf2[\w-]{0,20})\$[^\s\"';]++)",
        _PREFIX + _NAMED + r"[\"']?(?:[ \t]*[=:>][ \t]*|[ \t]+)" + _HOW + r"(?P<secret>\S++)",
        _PREFIX + r"community(?:-?name)?(?:[ \t]*[=:][ \t]*|[ \t]+)" + _HOW + r"(?P<secret>\S++)",
        r"(?i)(?<![\w-])(?:v|version )?2c (?:community )?(?P<secret>\S++)",
        r"(?i)(?<![\w-])(?:message-digest-key|authentication-key(?:id)?|vlink-peer) \S{1,40} "
        r"(?:md5|sha\d*|sha-\d+|hmac-[\w-]{3,12}|cmac[\w-]{0,12}) " + _HOW + r"(?P<secret>\S++)",
        r"(?i)(?<![\w-])(?:cipher|authenticator|outbound ah \d{1,10}|inbound ah \d{1,10}) (?P<secret>[0-9a-f]{16,}+)",
        r"(?i)(?<![\w-])(?:md5|sha|sha1|sha256|des|3des|aes|aes128|aes-128|aes256|aes-256|aes-cbc)"
        r" (?:\d{1,3} )?(?:encrypted )?(?P<secret>(?=[^\s]{16})\S++)",
    )
)
_ENC = re.compile(r"(?<![\w-])ENC (?P<secret>[^\s\"]++)")
_URL = re.compile(r"(?P<quote>[\"']?)(?<![a-z0-9+.-])(?i:[a-z][a-z0-9+.-]{0,20})://(?P<word>\S++)")
HINT = re.compile(
    r"(?i)cak|cipher|cmac|pass|secret|pwd|psk|key|communit|2c |md5|sha|des |aes|ENC |\$|://|pin|token|credential|phash"
)

# Words that stand after one like `password` and are none. They are also not looked for elsewhere where somebody has one
# for a secret: what stood in the place of a word of the command language would tell which one it was.
WORDS = frozenset({
    "access", "additional", "additive", "address", "admin", "administrator", "aes", "aging", "all", "and", "any",
    "attempts", "auth", "authentication", "authorization", "authpriv", "both", "bytes", "chain", "change", "check",
    "cipher", "ciphertext", "clear", "cleartext", "client", "community", "complexity", "composition", "config",
    "configuration", "crypto", "default", "delete", "des", "disable", "disabled", "enable", "enabled", "enc",
    "encrypt", "encrypted", "encryption", "exact", "expiration", "expire", "expiry", "export", "extended", "false",
    "for", "from", "generate", "group", "hash", "hashed", "history", "host", "hostname", "if", "in", "index",
    "inform", "informs", "internet", "is", "key", "key-chain", "keychain", "length", "level", "lifetime", "line",
    "list", "local", "lockout", "login", "manager", "map", "max", "max-length", "md5", "min", "min-length",
    "minimum", "minimum-length", "mode", "monitor", "name", "network", "no", "no-advertise", "no-export", "noauth",
    "none", "not", "null", "of", "off", "on", "operator", "or", "pass-phrase", "password", "permit", "plaintext",
    "policies", "policy", "port", "pre-share", "priv", "private", "prompt", "public", "quality", "radius", "read",
    "read-only", "read-write", "recovery", "required", "restricted", "retry", "reuse", "ro", "role", "root",
    "router", "rsa", "rule", "rules", "rw", "secret", "sent-username", "server", "service", "set-key", "sha",
    "sha1", "sha256", "sha512", "simple", "snmp", "ssh", "standard", "state", "strength", "subject", "system",
    "tacacs", "telnet", "text", "the", "timeout", "to", "trap", "traps", "true", "type", "udp", "unrestricted",
    "user", "username", "users", "version", "view", "vlan", "warning", "with", "write", "yes",
})  # fmt: skip
# Communities that everybody knows are communities all the same.
_KNOWN = frozenset({"public", "private"})


@dataclass(frozen=True)
class Span:
    start: int
    end: int
    stable: bool


def common_spans(core: str, tokens: Sequence[tuple[int, int]]) -> Iterator[Span]:
    for rule in _COMMON:
        at = 0
        while found := rule.search(core, at):
            start, end = found.span("secret")
            span = whole(core, start, end)
            value = core[slice(*span)].lower()
            # What is no secret may be the name of the next one
            at = max(start, found.start() + 1)
            known = value in _KNOWN and "community" in found.group().lower()
            if (
                (value in WORDS and not known)
                or (value.isdigit() and len(value) < 3)
                or re.fullmatch(
                    r"\d{1,10}:\d{1,10}|hmac-[\w-]{3,12}|cmac[\w-]{0,12}|ckn|inbound|outbound|size|eigrp", value
                )
            ):
                continue
            at = max(span[1], found.start() + 1)
            unhidden = free(span, tokens)
            if unhidden:
                yield Span(*unhidden, True)
    for found in _ENC.finditer(core):
        unhidden = free(found.span("secret"), tokens)
        if unhidden:
            yield Span(*unhidden, True)
    for found in _URL.finditer(core):
        word = found.group("word")
        if found.group("quote"):  # what stands between quotes ends with the second
            word = word.partition(found.group("quote"))[0]
        end, colon = word.rfind("@"), word.find(":")
        if 0 <= colon < end - 1:
            unhidden = free((found.start("word") + colon + 1, found.start("word") + end), tokens)
            if unhidden:
                yield Span(*unhidden, True)


def whole(core: str, start: int, end: int) -> tuple[int, int]:
    """All of a value: to the quote that closes it, without the quotes; without a semicolon that ends the statement."""
    opening = start if core[start] in _QUOTES else start - 1 if start and core[start - 1] in _QUOTES else -1
    if opening >= 0:
        quote, close = core[opening], opening + 1
        while close < len(core) and core[close] != quote:
            close += 2 if core[close] == "\\" else 1
        if close >= len(core):
            return (opening + 1, len(core)) if opening + 1 < len(core) else (opening, len(core))
        after = core[close + 1 : close + 2]
        if (not after or after.isspace() or after in ";,)]}>") and close >= end - 2:
            return opening + 1, close
        return opening, max(end, close + 1)
    while end > start + 1 and core[end - 1] == ";":
        end -= 1
    return start, end


def free(span: tuple[int, int], tokens: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """The span, grown over the placeholders that it cuts; None where it holds nothing else, or nothing at all."""
    start, end = span
    if start >= end:
        return None
    for first, last in tokens:
        if first <= start and end <= last:
            return None
        if first < end and start < last:
            start, end = min(start, first), max(end, last)
    return start, end


def merged(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start, one.end)):
        last = joined[-1] if joined else None
        if last and span.start < last.end:
            joined[-1] = Span(last.start, max(last.end, span.end), last.stable and span.stable)
        else:
            joined.append(span)
    return joined
