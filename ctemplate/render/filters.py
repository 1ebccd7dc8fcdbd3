"""The filters a template may use, beside Jinja2's own that keep the rules of `markup`.

Filters that Jinja2 made for HTML are refused or replaced; `random` is left out, because the same
snapshot must give the same bytes. YAML and TOML are imported by the filters that need them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from jinja2 import Undefined
from jinja2.filters import make_attrgetter

from ctemplate.render import grouping
from ctemplate.render.faults import Fault, refusing
from ctemplate.render.formats import encode_json, has_marks
from ctemplate.render.markup import Safe

if TYPE_CHECKING:
    from ctemplate.render.environment import CheckedEnvironment

_HTML = ("e", "escape", "forceescape", "xmlattr", "urlize", "striptags", "pprint")


def plain(value: Any) -> Any:
    """Return a value as plain data that every encoder knows; raises `Fault` for what is none."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Undefined):
        return str(value)  # raises: undefined is strict
    if isinstance(value, msgspec.Struct):
        return {field: plain(getattr(value, field)) for field in value.__struct_encode_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "isoformat"):
        return value.isoformat()  # TOML's dates and times, from `vars`
    if isinstance(value, Iterable) and not isinstance(value, bytes | set | frozenset):
        return [plain(item) for item in value]
    raise Fault(f"a value of type {type(value).__name__} cannot be encoded")


def _text(value: Any) -> str:
    """Return a value as text; raises for undefined, None and collections."""
    if isinstance(value, Undefined) or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return str(value)
    raise Fault(f"a string is needed here, not a value of type {type(value).__name__}")


def from_json(value: Any) -> Any:
    """Read JSON; empty text is an empty map, as consul-template has it."""
    text = _text(value)
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise Fault(f"the text is no JSON{place}") from None


def from_yaml(value: Any) -> Any:
    """Read YAML; empty text is an empty map, as consul-template has it."""
    import yaml

    text = _text(value)
    try:
        return yaml.safe_load(text) if text.strip() else {}
    except yaml.YAMLError:
        raise Fault("the text is no YAML") from None


def to_toml(value: Any) -> str:
    """Write TOML."""
    import tomli_w

    data = plain(value)
    if not isinstance(data, dict):
        raise Fault(f"|to_toml takes a mapping, not a value of type {type(value).__name__}")
    try:
        return tomli_w.dumps(data)
    except (TypeError, ValueError):
        raise Fault("TOML has no way to write one of the values (there is no null)") from None


def _yaml(value: Any, indent: int) -> str:
    import yaml

    def dump(*, allow_unicode: bool) -> str:
        data = plain(value)
        return str(yaml.safe_dump(data, indent=indent, sort_keys=False, allow_unicode=allow_unicode, width=2**16))

    text = dump(allow_unicode=True)
    if has_marks(text):  # they are taken out of the output, and `-` is not what `"-\uE000"` was
        text = dump(allow_unicode=False)
    return text.removesuffix("...\n")  # after a lone scalar: in the middle of a file it would end the document


def split(value: Any, separator: str | None = None) -> Any:
    """Split a string, trimmed first; an empty one gives an empty list."""
    text = value if isinstance(value, Safe) else _text(value)
    text = text.strip()
    return text.split(separator) if text else []


def regex_replace(value: Any, pattern: str, replacement: str = "", *, count: int = 0) -> str:
    r"""Replace what matches a regular expression; groups are `\1` in the replacement."""
    return re.sub(str(pattern), str(replacement), _text(value), count=count)


def regex_search(value: Any, pattern: str) -> str:
    """Return what matches first: its first group if there is one; empty if nothing matches."""
    found = re.search(str(pattern), _text(value))
    if found is None:
        return ""
    return (found.group(1) if found.re.groups else found.group()) or ""


def regex_match(value: Any, pattern: str) -> bool:
    """Whether a regular expression matches anywhere, as consul-template's `regexMatch`."""
    return re.search(str(pattern), _text(value)) is not None


def _digest(name: str) -> Callable[[Any], str]:
    return lambda value: hashlib.new(name, _text(value).encode(), usedforsecurity=False).hexdigest()


def _decoder(decode: Callable[[bytes], bytes]) -> Callable[[Any], str]:
    def decoded(value: Any) -> str:
        text = _text(value).strip()
        try:
            return decode((text + "=" * (-len(text) % 4)).encode()).decode()
        except ValueError:
            raise Fault("the text is no base64 of UTF-8") from None

    return decoded


def _strict_decode(data: bytes) -> bytes:
    return base64.b64decode(data, validate=True)


def trim_prefix(value: Any, prefix: str) -> str:
    """Take a prefix off."""
    return _text(value).removeprefix(str(prefix))


def trim_suffix(value: Any, suffix: str) -> str:
    """Take a suffix off."""
    return _text(value).removesuffix(str(suffix))


def _of_format(environment: CheckedEnvironment) -> dict[str, Callable[..., Any]]:
    """Make the filters whose results depend on what the template's format trusts."""
    safe, format_ = environment.safe, environment.checker.format

    def to_json(value: Any, indent: int | None = None) -> str:
        text = encode_json(plain(value), indent=indent)
        return safe.encoded(text) if format_.json else text

    def to_yaml(value: Any, indent: int = 2) -> str:
        text = _yaml(value, indent)
        return safe.encoded(text) if format_.yaml else text

    def join(value: Iterable[Any], separator: Any = None, attribute: str | int | None = None) -> Any:
        if attribute is not None:
            value = map(make_attrgetter(environment, attribute), value)
        return (safe("") if separator is None else safe.escape(separator)).join(value)

    def mark_safe(value: Any) -> Safe:
        return safe.trusted(_text(value))

    return {
        "to_json": to_json,
        "tojson": to_json,
        "to_yaml": to_yaml,
        "join": join,
        "safe": mark_safe,
        "quote": safe.quoted,
    }


def _string(value: Any) -> Any:
    return value if isinstance(value, Safe) else str(value)


def _replace(value: Any, old: str, new: str, count: int = -1) -> Any:
    text = value if isinstance(value, Safe) else _text(value)
    return text.replace(old, new, count) if isinstance(text, Safe) else text.replace(str(old), str(new), count)


def _format(value: Any, *args: Any, **kwargs: Any) -> Any:
    if args and kwargs:
        raise Fault("|format takes positional or named arguments, not both")
    return value % (kwargs or args)


def _indent(value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> Any:
    """Indent all lines but the first (unless `first`) and but empty ones (unless `blank`)."""
    text = value if isinstance(value, Safe) else _text(value)
    kind = type(text)
    pad = kind(" " * width) if isinstance(width, int) else width
    lines = text.splitlines(keepends=True)
    parts: list[Any] = []
    for number, line in enumerate(lines):
        if (number or first) and (blank or line.strip()):
            parts.append(pad)
        parts.append(line)
    return text.joined(parts) if isinstance(text, Safe) else "".join(map(str, parts))


def install(environment: CheckedEnvironment) -> None:
    """Put the filters into an environment."""
    filters = environment.filters
    del filters["random"]
    for name in _HTML:
        filters[name] = refusing(f"|{name} is for HTML and does not exist here; |quote quotes for the output format")
    filters.update(_of_format(environment))
    filters.update(
        b64decode=_decoder(_strict_decode),
        b64encode=lambda value: base64.b64encode(_text(value).encode()).decode(),
        b64url_decode=_decoder(base64.urlsafe_b64decode),
        b64url_encode=lambda value: base64.urlsafe_b64encode(_text(value).encode()).decode(),
        by_key=grouping.by_key,
        by_meta=grouping.by_meta,
        by_port=grouping.by_port,
        by_tag=grouping.by_tag,
        format=_format,
        from_json=from_json,
        from_yaml=from_yaml,
        indent=_indent,
        md5sum=_digest("md5"),
        regex_match=regex_match,
        regex_replace=regex_replace,
        regex_search=regex_search,
        replace=_replace,
        sha1sum=_digest("sha1"),
        sha256sum=_digest("sha256"),
        split=split,
        string=_string,
        to_toml=to_toml,
        trim_prefix=trim_prefix,
        trim_suffix=trim_suffix,
    )
