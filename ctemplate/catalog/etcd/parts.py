"""A layout's work, done again only for services of which a key changed."""

from __future__ import annotations

from ctemplate.catalog.layout import Found, Layout, Pairs


class Parts:
    """What was made of each part of a range; the keys of one service are all in one part (`catalog.layout`)."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._parts: dict[str, tuple[list[tuple[str, bytes]], Found]] = {}

    def found(self, pairs: Pairs) -> Found:
        """Return what the layout makes of `pairs`."""
        parts: dict[str, list[tuple[str, bytes]]] = {}
        for pair in pairs:
            parts.setdefault(pair[0].partition("/")[0], []).append(pair)
        before, self._parts = self._parts, {}
        for name, part in parts.items():
            old = before.get(name)
            self._parts[name] = old if old is not None and old[0] == part else (part, self._layout(part))
        return Found.together(found for _, found in self._parts.values())
