"""Texts with which a word of a grammar is likely to go on: what is forced but for the layout."""

from __future__ import annotations

import numpy as np

from guided.grammars.memo import Parser
from guided.grammars.spacing import SPACES, Spacing
from guided.kernels.ways import forced_bytes

#: Bytes of one text.
LONGEST = 256


class _Path:
    """A text, the configuration after it, and its spacing."""

    def __init__(self, config: int, text: bytes, spacing: Spacing) -> None:
        self.config = config
        self.text = text
        self.spacing = spacing

    def then(self, parser: Parser, data: bytes) -> _Path | None:
        """The path after `data`, None where that is illegal."""
        config, _ = parser.walk(self.config, data)
        if config == 0:
            return None
        spacing = self.spacing.copy()
        spacing.feed(data)
        return _Path(config, self.text + data, spacing)


def likely_texts(parser: Parser, config: int, spacing: Spacing, most: int) -> list[bytes]:
    """At most `most` texts, none the beginning of another, one of which is likely to come next.

    Where only one byte is possible, white space between JSON tokens aside, it is taken, with the
    white space that `spacing` puts before it. Where there are a few the text divides. It ends
    where there are many, where the word may end, or at `LONGEST` bytes.
    """
    paths = [_straight(parser, _Path(config, b"", spacing))]
    is_whole = False
    while not is_whole and len(paths) < most:
        is_whole = True
        longer: list[_Path] = []
        for index, path in enumerate(paths):
            room = most - len(longer) - (len(paths) - index - 1)
            following = _divided(parser, path, room)
            is_whole = is_whole and not following
            longer += [_straight(parser, branch) for branch in following] or [path]
        paths = longer
    return [path.text for path in paths]


def _straight(parser: Parser, path: _Path) -> _Path:
    """`path`, as far as there is no choice."""
    while len(path.text) < LONGEST and not parser.is_accepting(path.config):
        buffer = np.empty(LONGEST - len(path.text), np.uint8)
        _, count = parser.call(forced_bytes, path.config, buffer)
        following = path.then(parser, bytes(buffer[:count])) if count else path
        if following is None:
            break
        path = following
        likely = _spaced(parser, path)
        if likely is None:
            break
        path = likely
    return path


def _spaced(parser: Parser, path: _Path) -> _Path | None:
    """`path` with the white space that the layout wants here, and the byte after it if it is clear.

    None where nothing is clear.
    """
    if parser.is_accepting(path.config) or path.spacing.in_string or len(path.text) >= LONGEST:
        return None
    live = parser.live_bytes(path.config)
    others = [byte for byte in live if byte not in SPACES]
    if len(others) == 1:
        byte = bytes(others)
        gap = path.spacing.gap(others[0])
        return (path.then(parser, gap + byte) if gap else None) or path.then(parser, byte)
    gap = path.spacing.gap()
    return path.then(parser, gap) if gap and len(live) > len(others) else None


def _divided(parser: Parser, path: _Path, most: int) -> list[_Path]:
    """The paths after each byte that is possible, if these are 2 to `most`."""
    if parser.is_accepting(path.config) or len(path.text) >= LONGEST:
        return []
    live = parser.live_bytes(path.config)
    if not path.spacing.in_string:
        live = [byte for byte in live if byte not in SPACES]
    if not 2 <= len(live) <= most:
        return []
    following = []
    for byte in live:
        gap = path.spacing.gap(byte)
        spaced = path.then(parser, gap + bytes([byte])) if gap else None
        following.append(spaced or path.then(parser, bytes([byte])))
    return [path for path in following if path is not None]
