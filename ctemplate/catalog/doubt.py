"""When an answer is believed only from the most authoritative place there is.

A server that has just started answers with success, a known leader and fresh contact while it still applies what the
others told it: with *less* than there is, for as long as its log is long (seen on Consul 1.8: seconds). So does a
follower that was cut off. What all of these have in common is that something failed before. So for a while after a
failure, an answer that says less than the last one is asked for again: of the leader.
"""

from __future__ import annotations

from collections.abc import Sized

from ctemplate.model import Answer, NodeServices, Value

DOUBT_SECONDS = 30.0
"""How long after a failure: a server of 50,000 instances applies its log in a few seconds."""


def says_less(new: Answer, old: Answer) -> bool:
    """Whether something of `old` must be missing in `new`: fewer records, or nothing where there was something."""
    return _size(new.value) < _size(old.value)


def _size(value: Value) -> int:
    if isinstance(value, str):
        return 1  # a key is there or not, whatever its value
    if isinstance(value, NodeServices):
        return 1 + len(value.services)
    return len(value) if isinstance(value, Sized) else 0
