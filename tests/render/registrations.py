"""What somebody hostile may register, and the same with a harmless word in the place of each different string."""

import re

from hypothesis import strategies as st

from ctemplate.model import Answer, Check, Instance, KeyValue, Kind, Query, ServiceName, Snapshot

PIECES = st.sampled_from([
    "a", "web", "1", "-", ".", "_", ":", "/", "=", ",", "@", "%", "+", "[", "]", " ", "  ", "\t", "\n", "\r\n", "\r", "\v", "\f",
    ";", "{", "}", "#", "!", '"', "'", "\\", "$", "${", "$(", "`", "&", "|", "<", ">", "*", "?", "~", "\0", "\x1b", "\x7f",
    "\x85", "\xa0", "\u2028", "\ufeff", "é", "\ue000", "\ue001", "\ue002", "include", "include /etc/passwd;", "; x y;", "} x {",
    "load_module", "lua-load", "server", "backend x\n", "- ", ": ", " #", "---\n", "...", "? ", "&a ", "*a", "!!x", "|\n",
    "true", "null", "{{ 1 }}", "{% x %}", "%s", "{0}", "\\n", "\\'", "'\\''", "unix:/x", "x" * 40, "y" * 1100,
])  # fmt: skip
HOSTILE = st.lists(PIECES, min_size=1, max_size=4).map("".join) | st.text(max_size=8)
MILD = st.text("abw1-._:/", min_size=1, max_size=8)
VALUES = MILD | MILD | HOSTILE
PLAIN_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"


@st.composite
def registrations(draw):
    """Services (one is `web`), their instances and keys. Ids are told apart by a number."""
    names = ["web", *draw(st.lists(VALUES.filter(lambda name: name != "web"), max_size=2, unique=True))]
    found = {}
    for name in names:
        found[name] = tuple(
            Instance(
                id=f"{draw(VALUES)}{number}",
                name=name,
                address=draw(st.sampled_from(["10.0.0.1", "2001:db8::1", "h.example"]) | VALUES),
                port=draw(st.sampled_from([80, 8080])),
                node=draw(VALUES),
                tags=("http", draw(VALUES)) if number % 2 else (draw(VALUES), "http"),
                meta={"k": draw(VALUES), draw(VALUES): draw(VALUES)},
                all_checks=(Check(draw(VALUES), "check", "passing"),),
            )
            for number in range(draw(st.integers(1, 2)))
        )
    pairs = draw(st.lists(st.tuples(VALUES.filter(lambda path: "/" not in path), VALUES), max_size=2))
    return found, draw(VALUES), pairs


class Harmless:
    """One harmless word for each different string; what templates ask about it stays: empty, `web`, a host name."""

    def __init__(self):
        self._words = {text: text for text in ("", "http", "web", "k", "f")}

    def __call__(self, text):
        if text not in self._words:
            mark = "w" if re.fullmatch(PLAIN_NAME, text) else "w/"
            self._words[text] = f"{mark}{len(self._words)}z"
        return self._words[text]

    def instance(self, given):
        return Instance(
            id=self(given.id), name=self(given.name), address=self(given.address), port=given.port, node=self(given.node),
            tags=tuple(map(self, given.tags)), meta={self(key): self(text) for key, text in given.meta.items()},
            all_checks=tuple(Check(self(check.id), self(check.name), check.status) for check in given.checks),
        )  # fmt: skip


def snapshot(services, value, pairs, *, left_out=()):
    """What the catalog answers, `left_out` not among it: of a service's listing nothing else than the name goes."""
    gone = {(entry.service, entry.node, entry.id) for entry in left_out}
    answers = {
        Query(kind=Kind.SERVICE, name=name): Answer(tuple(i for i in some if (name, i.node, i.id) not in gone))
        for name, some in services.items()
    }
    listing = tuple(
        ServiceName(name, tuple(sorted({tag for i in instances for tag in i.tags})))
        for name, instances in services.items()
        if (name, "", "") not in gone
    )
    answers |= {
        Query(kind=Kind.SERVICES): Answer(listing),
        Query(kind=Kind.KEY, name="k"): Answer(value),
        Query(kind=Kind.KEYS, name="f"): Answer(tuple(KeyValue(path, text) for path, text in pairs)),
    }
    return Snapshot(answers=answers)
