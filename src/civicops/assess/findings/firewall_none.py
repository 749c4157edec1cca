"""Nothing on the host filters the packets that come in: every service is as open as its own settings leave it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from civicops.assess.estate import Estate, Host
from civicops.assess.facts import Facts
from civicops.assess.host_finding import HostFinding, Said, machine
from civicops.assess.recovery_known import brief, listed


class FirewallNone(HostFinding):
    id = "firewall-none"
    title = "The host has no packet filter"
    severity = "medium"
    frameworks = ("CIS v8 4.4", "CIS v8 4.5", "NIST 800-53 SC-7", "CJIS SC-7")
    remedy = "Switch ufw, firewalld or nftables on, and let in what is needed only."
    effort = "medium"
    reads = ("firewall",)

    def applies(self, facts: Facts) -> bool:
        """A container's packets are filtered by the machine below."""
        return machine(facts) != "container"

    def of(self, host: Host, facts: Facts, estate: Estate) -> Iterator[Said]:
        told = facts.get("firewall", "ruleset")
        rules = told.get("rules") if told else None
        if rules is None:
            yield self.not_known(facts, "whether packets are filtered is", "firewall")
            return
        policies = [str(one) for one in told.get("input_policies") or ()]
        closed, open_ = _families(policies)
        kept = facts.get("firewall", "ufw_enabled") is True or facts.get("firewall", "firewalld_running") is True
        if "ip" in closed and "ip6" in open_ and not kept:
            text = f"IPv4 is filtered, and whether IPv6 is, is not known: {rules} rules; {listed(policies)}"
            yield Said("unknown", text)
        elif "ip" in closed or (rules and policies and kept):
            yield Said("fine", f"packets that come in are filtered: {rules} rules; {listed(policies)}")
        elif why := self._hidden(facts, str(told.get("asked"))):
            yield Said("unknown", why)
        elif rules and policies:
            text = f"there are {rules} rules; whether they keep out what comes in ({listed(policies)}) is not known"
            yield Said("unknown", text)
        elif rules:
            yield Said("found", f"there are {rules} rules, and none is for packets that come in to the host itself")
        else:
            yield Said("found", "there is no rule, and what comes in is accepted")

    @staticmethod
    def _hidden(facts: Facts, asked: str) -> str:
        """Why there may be rules that the program that was asked does not show; empty where there are none."""
        if asked == "nft" and "filter" in (facts.get("firewall", "legacy_tables") or ()):
            return "the old iptables has a table of filters, which nft does not show"
        if asked != "nft" and (why := facts.why_unread("firewall.rules")):
            return f"{brief(asked)} shows no filter, and what nft would show is not known: {brief(why)}"
        return ""

    def matters(self, item: str, reason: str) -> bool:
        """One of several programs that could be asked may fail, where another has answered."""
        return item != "firewall.rules"


def _families(policies: Sequence[str]) -> tuple[set[str], set[str]]:
    """Of IPv4 and IPv6 those whose packets are refused unless a rule lets them in, and those whose are let in.

    A policy is told as `inet filter drop`: family, table, policy. `inet` is both.
    """
    closed: set[str] = set()
    open_: set[str] = set()
    for words in (one.split() for one in policies):
        if words:
            families = {"ip", "ip6"} if words[0] == "inet" else {words[0]} & {"ip", "ip6"}
            (closed if words[-1] in ("drop", "reject") else open_).update(families)
    return closed, open_ - closed


FINDING = FirewallNone()
