"""Recognises a Go template that was given by habit, and says what its line is in Jinja2.

consul-template and confd write `{{ range service "web" }}`, which Jinja2 calls a syntax error at some
word. This is a hint for a person, no translator: it knows the forms that every such template has.
"""

from __future__ import annotations

import re

import msgspec

_ACTION = re.compile(r"\{\{-?\s*(?P<body>.*?)\s*-?\}\}", re.DOTALL)
# What Jinja2 has no meaning for: a statement inside `{{ }}`, a name followed by an operand, `.Field`, `$name`.
_GO = re.compile(
    r"""(?:range|with|define|template|block|if|else\s+if)\s+.+|end|else|/\*.*\*/
    |\.(?:[A-Za-z]\w*[\w.]*)?(?:\s*\|.*)?|\$\w*.*|(?!not\b)[A-Za-z]\w*\s+["`$.].*""",
    re.DOTALL | re.VERBOSE,
)
_FUNCTIONS = {
    "keyExists": "key_exists", "safeLs": "ls", "safeTree": "tree", "getenv": "env", "getv": "key", "get": "key",
    "exists": "key_exists", "lsdir": "ls", "gets": "tree", "getvs": "tree",
}  # fmt: skip
_CALLS = {"service", "services", "node", "nodes", "datacenters", "key", "ls", "tree", "env", "file", *_FUNCTIONS}
_FIELDS = {
    "Address": "address", "Port": "port", "Name": "name", "ID": "id", "Node": "node", "Tags": "tags",
    "Status": "status", "NodeAddress": "node_address", "ServiceMeta": "meta", "Checks": "checks", "Key": "path",
    "Value": "value",
}  # fmt: skip
_FILTERS = {
    "toJSON": "to_json", "toYAML": "to_yaml", "toTOML": "to_toml", "parseJSON": "from_json", "parseYAML": "from_yaml",
    "toLower": "lower", "toUpper": "upper", "toTitle": "title", "trimSpace": "trim", "base64Decode": "b64decode",
    "base64Encode": "b64encode", "sha256Hex": "sha256sum", "byTag": "by_tag", "byKey": "by_key", "byMeta": "by_meta",
    "replaceAll": "replace", "regexReplaceAll": "regex_replace", "regexMatch": "regex_match", "parseInt": "int",
}  # fmt: skip
_OPERATORS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "and": "and", "or": "or"}
_TERM = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|\([^()]*\)|[^\s|]+|\|')


class GoAction(msgspec.Struct, frozen=True):
    """The first Go action of a text."""

    line: int
    source: str
    jinja: str
    """The same in Jinja2, as near as can be told."""

    def __str__(self) -> str:
        return f"this is a Go template, and ctemplate's are Jinja2: {self.source} is written {self.jinja}"


def recognise(text: str) -> GoAction | None:
    """Find the first action of a text that only a Go template has; None if there is none."""
    for found in _ACTION.finditer(text):
        body = found["body"]
        if _GO.fullmatch(body):
            line = text.count("\n", 0, found.start()) + 1
            return GoAction(line, " ".join(found.group().split())[:120], translate(body)[:160])
    return None


def translate(body: str, *, variable: str = "i", closer: str = "endfor") -> str:
    """Write one Go action in Jinja2; `variable` is what the innermost `range` runs over, `closer` what ends it."""
    body = body.strip()
    if body.startswith("/*"):
        return "{# " + body[2:].removesuffix("*/").strip() + " #}"
    fixed = {"end": f"{{% {closer} %}}", "else": "{% else %}"}.get(body)
    if fixed is not None:
        return fixed
    for go, statement in (("else if", "elif"), ("if", "if"), ("with", "if")):
        if re.match(rf"{go}\b", body):
            rest = re.sub(r"^\$\w+\s*:=\s*", "", body.removeprefix(go).strip())
            return f"{{% {statement} {expression(rest, variable)} %}}"
    if re.match(r"range\b", body):
        rest = body.removeprefix("range").strip()
        named = re.match(r"(?:\$\w+\s*,\s*)?\$(\w+)\s*:?=\s*", rest)
        loop = named[1] if named else variable
        return f"{{% for {loop} in {expression(rest[named.end() :] if named else rest, variable)} %}}"
    if body.startswith("$") and ":=" in body:
        name, _, value = body.partition(":=")
        return f"{{% set {name.strip()[1:]} = {expression(value.strip(), variable)} %}}"
    if re.match(r"template\b", body):
        return f"{{% include {body.split()[1]} %}}"
    return f"{{{{ {expression(body, variable)} }}}}"


def expression(text: str, variable: str) -> str:
    """Write a Go pipeline as a Jinja2 expression."""
    stages: list[list[str]] = [[]]
    for term in _TERM.findall(text):
        if term == "|":
            stages.append([])
        else:
            stages[-1].append(term)
    written = _call(stages[0], variable)
    for stage in stages[1:]:
        if stage:
            written = f"{written} | {_filter(stage[0], [_term(term, variable) for term in stage[1:]])}"
    return written


def _call(terms: list[str], variable: str) -> str:
    if not terms:
        return variable
    head, rest = terms[0], [_term(term, variable) for term in terms[1:]]
    if head in _CALLS:
        return f"{_FUNCTIONS.get(head, head)}({', '.join(rest)})"
    if head in _OPERATORS and len(rest) >= 2:
        return f" {_OPERATORS[head]} ".join(rest)
    if head == "keyOrDefault" and len(rest) == 2:
        return f"key({rest[0]}, default={rest[1]})"
    if rest and head == "printf":
        return f"{rest[0]} | format({', '.join(rest[1:])})"
    if rest and head in ("not", "len"):
        return f"not {rest[0]}" if head == "not" else f"{rest[0]} | length"
    if rest and head[0].isalpha():
        return f"{rest[-1]} | {_filter(head, rest[:-1])}"
    return _term(head, variable)


def _filter(name: str, arguments: list[str]) -> str:
    name = _FILTERS.get(name, name)
    return f"{name}({', '.join(arguments)})" if arguments else name


def _term(term: str, variable: str) -> str:
    if term.startswith("("):
        return f"({expression(term[1:-1], variable)})"
    if term.startswith("`"):
        return '"' + term.strip("`").replace('"', '\\"') + '"'
    if term == ".":
        return variable
    if term.startswith((".", "$")):
        base, _, path = (variable + term if term.startswith(".") else term[1:] or variable).partition(".")
        return ".".join([base, *(_FIELDS.get(field, field) for field in path.split(".") if field)])
    return term
