"""Which text is trusted: the author's own, and data that were checked for the output format.

The trick is Jinja2's autoescaping with an own class in place of `markupsafe.Markup`: literals and
template text of the author are `Safe`, data are plain strings, and wherever the two are put together
the data are checked. Only exactly this class is trusted, so no foreign `__html__` passes.

A `Safe` knows where in it data stand: `shadow` has the same length, with every character of a datum
replaced by a mark, so that `positions` can hold the words of the finished text against the grammar.
Text with data in it can be joined, trimmed, re-cased, indented and replaced in; whatever else cuts it
(slices, `split`) makes it data again, because half of a quoted value is not quoted.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any, ClassVar, SupportsIndex

import markupsafe

from ctemplate.render.arguments import arguments
from ctemplate.render.checker import Checker
from ctemplate.render.faults import Fault, refusing
from ctemplate.render.formats import CLOSE, OPEN, QUOTED, has_marks, without_marks

_INLINE = re.compile(f"([{OPEN}{QUOTED}])([^{CLOSE}]*){CLOSE}")
_PRECISION = re.compile(r"%(?:\([^)]*\))?[#0 +-]*(?:\d+|\*)?\.(?:\d+|\*)?[hlL]?[sra]")
_RUN = re.compile(f"{OPEN}+|{QUOTED}+")


def _recasing(method: Callable[[str], str]) -> Any:
    """Make a method of `Safe` that changes case. Data grow no new characters: upper and lower keep the allow-lists."""

    @functools.wraps(method)
    def recased(self: Safe) -> Any:
        text = method(self)
        if self.shadow is None:
            return type(self)(text)
        return type(self)(text, self.shadow) if self.isascii() and self.checker.format.positions else text

    return recased


def _cutting(method: Callable[..., Any]) -> Any:
    """Make a method of `Safe` of which one text, or each of several, is trusted only if no datum was in the whole."""

    @functools.wraps(method)
    def cut(self: Safe, *args: Any, **kwargs: Any) -> Any:
        made = method(self, *args, **kwargs)
        return self._with(made) if isinstance(made, str) else type(made)(map(self._with, made))

    return cut


def _padding(method: Callable[..., str]) -> Any:
    """Make a method of `Safe` that pads it, with checked text."""

    @functools.wraps(method)
    def padded(self: Safe, width: SupportsIndex, fillchar: str | None = None) -> Safe:
        fill = type(self)(" ") if fillchar is None else self.escape(fillchar)
        text = method(str.__str__(self), width, str.__str__(fill))
        if self.shadow is None and fill.shadow is None:
            return type(self)(text)
        return type(self)(text, method(_shade(self), width, _shade(fill)))

    return padded


class Safe(markupsafe.Markup):
    """Trusted text of one template. Each template has its own subclass, with its own `checker`."""

    __slots__ = ("_inline", "_shadow")
    _inline: str | None
    """The text as it goes into the output, where that is known already: most of what is sealed is only printed."""
    _shadow: str | None
    checker: ClassVar[Checker]

    def __new__(cls, text: str = "", shadow: str | None = None) -> Safe:
        """Wrap a text; `shadow` is as long as it."""
        self = str.__new__(cls, str.__str__(text))
        self._shadow = shadow
        self._inline = None
        return self

    @property
    def shadow(self) -> str | None:
        """None: all of it is the author's. Else as long as the text, the characters of data replaced by marks."""
        if self._shadow is None and self._inline is not None:
            self._shadow = _INLINE.sub(lambda found: found.group(1) * len(found.group(2)), self._inline)
        return self._shadow

    def __html__(self) -> Safe:
        return self

    @classmethod
    def escape(cls, value: object) -> Safe:
        """Return trusted text as it is, and anything else as checked text; raises `Refusal` or `Fault`."""
        if type(value) is cls:
            return value
        if type(value) in (int, float):
            return cls(cls.checker.text(value, printed=False))  # a number is no directive, wherever it stands
        text = cls.checker.text(value, printed=False)
        return cls(text, OPEN * len(text))

    @classmethod
    def seal(cls, text: str) -> Safe:
        """Return the buffer of a macro, block or set block as trusted text: each of its parts was checked."""
        if not cls.checker.marking:
            return cls(text, text)
        if CLOSE not in text:
            return cls(text)
        self = cls(without_marks(text))
        self._inline = text
        return self

    @classmethod
    def quoted(cls, value: object) -> Safe:
        """Return a value as one quoted word."""
        text = cls.checker.quoted(value)
        return cls(text, QUOTED * len(text))

    @classmethod
    def encoded(cls, text: str) -> Safe:
        """Return text that an encoder of the format made of data."""
        return cls(text, QUOTED * len(text))

    @classmethod
    def trusted(cls, text: str) -> Safe:
        """Return text that the author vouches for (`|safe`)."""
        if has_marks(text):
            raise Fault("|safe takes no reserved character (U+E000–U+E002)")
        return cls(text)

    def inline(self) -> str:
        """Return the text with its data marked, as it goes into the output.

        Operations on trusted text may have cut a datum (`m(v)|trim("a")`), so each is held against the format again.
        """
        if self._inline is not None:
            return self._inline
        if self._shadow is None or not self.checker.marking:
            return str.__str__(self)
        text, shadow = str.__str__(self), self._shadow
        if not text and not self.checker.format.empty:
            raise Fault("a value was cut to nothing; test for that before it is printed")
        pieces, then = [], 0
        for run in _RUN.finditer(shadow):
            start, end = run.span()
            self._recheck(text[start:end], quoted=shadow[start] == QUOTED)
            pieces += [text[then:start], shadow[start], text[start:end], CLOSE]
            then = end
        pieces.append(text[then:])
        return "".join(pieces)

    def _recheck(self, text: str, *, quoted: bool) -> None:
        format_ = self.checker.format
        pattern = format_.quoted if quoted else format_.bare
        if pattern is not None and not pattern.fullmatch(text):
            raise Fault("a value was cut or joined to what the format refuses; do that before it is printed or quoted")

    @classmethod
    def joined(cls, parts: Iterable[object]) -> Safe:
        """Put parts together, each checked unless it is trusted."""
        texts = [cls.escape(part) for part in parts]
        text = "".join(texts)
        if all(part.shadow is None for part in texts):
            return cls(text)
        return cls(text, "".join([str.__str__(part) if part.shadow is None else part.shadow for part in texts]))

    def _with(self, text: str) -> Any:
        """Return what an operation made of this text: trusted only if no datum was in it."""
        return type(self)(text) if self.shadow is None else text

    def _span(self, start: int, end: int) -> Safe:
        return type(self)(str.__str__(self)[start:end], None if self.shadow is None else self.shadow[start:end])

    def __add__(self, other: object) -> Any:
        return self.joined((self, other)) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: object) -> Any:
        return self.joined((other, self)) if isinstance(other, str) else NotImplemented

    def __mul__(self, count: SupportsIndex) -> Any:
        return type(self)(str.__mul__(self, count), None if self.shadow is None else self.shadow * count)

    __rmul__ = __mul__

    def join(self, parts: Iterable[object]) -> Safe:
        """Join parts with this text between them."""
        between: list[object] = []
        for part in parts:
            between += (self, part)
        return self.joined(between[1:])

    def __mod__(self, values: Any) -> Safe:
        if _PRECISION.search(str.__str__(self)):
            raise Fault("a precision in `%` would cut a value after its check; use |truncate or a slice")
        text = str.__mod__(self, arguments(values, lambda part: str.__str__(self.escape(part))))
        shadow = str.__mod__(self.shadow or self, arguments(values, lambda part: _shade(self.escape(part))))
        return self._composed(text, shadow)

    def format(self, *args: Any, **kwargs: Any) -> Safe:
        """Format as `str.format` does, each field checked."""
        return self.formatted(markupsafe.EscapeFormatter, args, kwargs)

    def format_map(self, mapping: Any) -> Safe:
        """Format as `str.format_map` does, each field checked."""
        return self.formatted(markupsafe.EscapeFormatter, (), mapping)

    def formatted(self, formatter: Callable[..., Any], args: Any, kwargs: Any) -> Safe:
        """Format by a formatter class that takes `escape`."""
        text = formatter(escape=lambda part: str.__str__(self.escape(part))).vformat(str.__str__(self), args, kwargs)
        shade = formatter(escape=lambda part: _shade(self.escape(part)))
        return self._composed(text, shade.vformat(self.shadow or str.__str__(self), args, kwargs))

    def _composed(self, text: str, shadow: str) -> Safe:
        if len(text) != len(shadow):  # a template text whose data changed between the two: treat all of it as data
            return self.escape(text)
        return type(self)(text, shadow)

    def __html_format__(self, spec: str) -> Safe:
        if spec:
            raise Fault("a width or precision for trusted text is not supported")
        return self

    __getitem__ = _cutting(str.__getitem__)

    def __iter__(self) -> Any:
        return (self._with(char) for char in str.__str__(self))

    def replace(self, old: str, new: str, count: SupportsIndex = -1) -> Any:
        """Replace in the author's text and in data alike; what is put in is checked."""
        text, old, limit = str.__str__(self), str.__str__(old), int(count)
        if not old or (self.shadow is not None and not self.checker.marking):
            return self._with(str.replace(text, old, str.__str__(self.escape(new)), limit))
        parts: list[object] = []
        then, at = 0, text.find(old)
        while at >= 0 and limit:
            if self.shadow is not None and QUOTED in self.shadow[at : at + len(old)]:
                raise Fault("|replace inside a quoted value: quote after replacing")
            parts += (self._span(then, at), new)
            then, limit = at + len(old), limit - 1
            at = text.find(old, then)
        return self.joined([*parts, self._span(then, len(text))])

    def _stripped(self, chars: str | None, left: str, right: str) -> Any:
        start, end = len(self) - len(left), len(right)
        if chars is not None and self.shadow is not None and not self.checker.marking:
            return str.__str__(self)[start : max(start, end)]  # it may be quotes that were stripped
        if chars is not None and self.shadow is not None and QUOTED in self.shadow[:start] + self.shadow[end:]:
            raise Fault("|trim inside a quoted value: quote after trimming")
        return self._span(start, max(start, end))

    def strip(self, chars: str | None = None) -> Any:
        """Strip both ends."""
        return self._stripped(chars, str.lstrip(self, chars), str.rstrip(self, chars))

    def lstrip(self, chars: str | None = None) -> Any:
        """Strip the left end."""
        return self._stripped(chars, str.lstrip(self, chars), str.__str__(self))

    def rstrip(self, chars: str | None = None) -> Any:
        """Strip the right end."""
        return self._stripped(chars, str.__str__(self), str.rstrip(self, chars))

    upper, lower, capitalize = _recasing(str.upper), _recasing(str.lower), _recasing(str.capitalize)
    title, swapcase = _recasing(str.title), _recasing(str.swapcase)
    casefold, zfill, expandtabs = _cutting(str.casefold), _cutting(str.zfill), _cutting(str.expandtabs)
    split, rsplit = _cutting(str.split), _cutting(str.rsplit)
    partition, rpartition = _cutting(str.partition), _cutting(str.rpartition)
    removeprefix, removesuffix = _cutting(str.removeprefix), _cutting(str.removesuffix)
    center, ljust, rjust = _padding(str.center), _padding(str.ljust), _padding(str.rjust)
    unescape, striptags = refusing("unescape is for HTML only"), refusing("striptags is for HTML only")

    def splitlines(self, keepends: bool = False) -> Any:
        """Split into lines; data hold no line break that is not encoded."""
        lines = str.splitlines(self, keepends=True)
        ends = list(accumulate(map(len, lines)))
        whole = [self._span(end - len(line), end) for line, end in zip(lines, ends, strict=True)]
        return whole if keepends else [line.rstrip("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029") for line in whole]

    def translate(self, table: Any) -> str:
        """Return data: any character may have come in."""
        return str.translate(self, table)


def _shade(text: Safe) -> str:
    return str.__str__(text) if text.shadow is None else text.shadow


def safe_class(checker: Checker) -> type[Safe]:
    """Make the `Safe` class of one template."""
    return type("Safe", (Safe,), {"__slots__": (), "checker": checker})
