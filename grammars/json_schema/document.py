"""A schema document: dialect, places in it, and what `$ref` refers to (nothing is ever fetched)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from guided.errors import GrammarTooLargeError, SchemaError
from guided.grammars.json_schema.structure import MAPS_OF_SCHEMAS, SCHEMAS, Flat, Structures

MAX_NESTING = 512


class Dialect(Enum):
    """The draft that a schema is written in."""

    DRAFT4 = "draft-04"
    DRAFT7 = "draft-07"
    DRAFT2019 = "2019-09"
    DRAFT2020 = "2020-12"

    @property
    def ref_hides_siblings(self) -> bool:
        """Whether keywords beside `$ref` are ignored."""
        return self in (Dialect.DRAFT4, Dialect.DRAFT7)

    @property
    def id_keyword(self) -> str:
        """The keyword that gives a schema its URI."""
        return "id" if self is Dialect.DRAFT4 else "$id"


def dialect_of(schema: object) -> Dialect:
    """The dialect that `$schema` names; 2020-12 where it is missing or unknown."""
    uri = schema.get("$schema") if isinstance(schema, dict) else None
    if not isinstance(uri, str):
        return Dialect.DRAFT2020
    if "draft-04" in uri or "draft-03" in uri:
        return Dialect.DRAFT4
    if "draft-06" in uri or "draft-07" in uri:
        return Dialect.DRAFT7
    return Dialect.DRAFT2019 if "2019-09" in uri else Dialect.DRAFT2020


def foreign_dialect(schema: object) -> str | None:
    """The URI in `$schema` where it is none of json-schema.org."""
    uri = schema.get("$schema") if isinstance(schema, dict) else None
    return uri if isinstance(uri, str) and uri and "json-schema.org/" not in uri else None


def escape_pointer(segment: str) -> str:
    """`segment` as it is written inside a JSON pointer."""
    return segment.replace("~", "~0").replace("/", "~1")


class Node:
    """A place in the document: its value, the URI it is relative to, and its JSON pointer.

    `scope` holds the URIs of the schema resources on the way here, the outermost first, where
    references depend on them.
    """

    __slots__ = ("_pointer", "base", "parent", "raw", "scope", "segment")

    def __init__(
        self, raw: Any, base: str, parent: Node | None, segment: str, scope: tuple[str, ...] = ()
    ) -> None:
        self.raw = raw
        self.base = base
        self.parent = parent
        self.segment = segment
        self.scope = scope
        self._pointer: str | None = None

    @property
    def pointer(self) -> str:
        """The JSON pointer from the root of the document, such as `#/properties/a`."""
        if self._pointer is None:
            above = self.parent
            if above is None:
                self._pointer = "#"
            else:
                self._pointer = f"{above.pointer}/{escape_pointer(self.segment)}"
        return self._pointer

    def at(self, *segments: str) -> str:
        """The pointer of something below this node."""
        return "/".join([self.pointer, *map(escape_pointer, segments)])


class Document:
    """A whole schema document with an index of the identifiers in it."""

    def __init__(self, schema: Any, dialect: Dialect, text: str | None = None) -> None:
        """`text` is what `schema` was parsed from: it is JSON then, and tells what it cannot hold.

        Raises:
            SchemaError: a value is not JSON.
            GrammarTooLargeError: it nests too deeply.
        """
        self.dialect = dialect
        self._id_keyword = dialect.id_keyword
        self._urls: dict[tuple[str, str], tuple[str, str]] = {}
        self._targets: dict[tuple[str, str], Node] = {}
        self.root = self._root(schema)
        self._resources: dict[str, Node] = {"": self.root, self.root.base: self.root}
        self._anchors: dict[tuple[str, str], Node] = {}
        self._dynamic: dict[tuple[str, str], Node] = {}
        self._scoped = False
        self.tracks_evaluation = False
        self._structures = Structures()
        if text is None:
            check_values(schema)
        elif text.count("{") + text.count("[") > MAX_NESTING:
            check_nesting(schema)
        if text is None or self._may_name(text):
            self._index()
        elif isinstance(schema, dict):
            self._index_one(self.root)
        if self._scoped:
            self.root.scope = (self.root.base,)

    # -- places ---------------------------------------------------------------------------------

    def _root(self, schema: Any) -> Node:
        return Node(schema, self._base_of(schema, ""), None, "")

    def _base_of(self, raw: Any, base: str) -> str:
        name = raw.get(self._id_keyword) if isinstance(raw, dict) else None
        if not isinstance(name, str) or name.startswith("#"):
            return base
        if "$ref" in raw and self.dialect.ref_hides_siblings:
            return base
        return self._url(base, name)[0]

    def child(self, node: Node, *segments: str) -> Node:
        """The place reached from `node` by keys and indices."""
        for segment in segments:
            raw = node.raw
            raw = raw[int(segment)] if isinstance(raw, list) else raw[segment]
            base, scope = node.base, node.scope
            if isinstance(raw, dict) and self._id_keyword in raw:
                base = self._base_of(raw, base)
                if self._scoped and base not in scope:
                    scope = (*scope, base)
            node = Node(raw, base, node, segment, scope)
        return node

    def _may_name(self, text: str) -> bool:
        """Whether a schema below the root may hold a keyword that the index is about."""
        at_root = isinstance(self.root.raw, dict) and self._id_keyword in self.root.raw
        # Any key may be written with escapes.
        if "\\u" in text or text.count(f'"{self._id_keyword}"') > at_root:
            return True
        return any(keyword in text for keyword in ("Anchor", "$anchor", "unevaluated"))

    def _index(self) -> None:
        """Index `$id`, `$anchor` and friends."""
        stack = [self.root]
        while stack:
            node = stack.pop()
            if isinstance(node.raw, dict):
                self._index_one(node)
                stack.extend(self._subschemas(node))

    def _index_one(self, node: Node) -> None:
        raw = node.raw
        if "$ref" in raw and self.dialect.ref_hides_siblings:
            return
        name = raw.get(self._id_keyword)
        if isinstance(name, str):
            if name.startswith("#") and len(name) > 1:
                self._anchors.setdefault((node.base, name[1:]), node)
            else:
                self._resources.setdefault(node.base, node)
        for keyword in ("$anchor", "$dynamicAnchor"):
            anchor = raw.get(keyword)
            if isinstance(anchor, str):
                self._anchors.setdefault((node.base, anchor), node)
                if keyword == "$dynamicAnchor":
                    self._scoped |= any(name == anchor for _, name in self._dynamic)
                    self._dynamic.setdefault((node.base, anchor), node)
        if "unevaluatedProperties" in raw or "unevaluatedItems" in raw:
            self.tracks_evaluation = True
        if raw.get("$recursiveAnchor") is True:
            self._scoped = True

    def _subschemas(self, node: Node) -> Iterator[Node]:
        for keyword, value in node.raw.items():
            if keyword in MAPS_OF_SCHEMAS and isinstance(value, dict):
                holder = self.child(node, keyword)
                for name, one in value.items():
                    if isinstance(one, dict):
                        yield self.child(holder, name)
            elif keyword in SCHEMAS:
                if isinstance(value, dict):
                    yield self.child(node, keyword)
                elif isinstance(value, list):
                    holder = self.child(node, keyword)
                    for index, one in enumerate(value):
                        if isinstance(one, dict):
                            yield self.child(holder, str(index))

    # -- references -----------------------------------------------------------------------------

    def resolve(self, node: Node, reference: str, keyword: str = "$ref") -> Node:
        """The place that `reference`, written at `node`, refers to; raises SchemaError."""
        target = self._targets.get((node.base, reference))
        if target is None:
            target = self._found(node, reference, keyword)
            self._targets[node.base, reference] = target
        return self._entered(target, node)

    def _found(self, node: Node, reference: str, keyword: str) -> Node:
        """The place that is referred to, whatever the way to it."""
        url, fragment = self._url(node.base, reference)
        root = self._resources.get(url)
        if root is None:
            raise SchemaError(
                f"{reference!r} is outside this document, and nothing is fetched; "
                "copy the schema it names under $defs",
                node.at(keyword),
            )
        if not fragment or fragment == "/":
            return root
        if fragment.startswith("/"):
            found = self._walked(root, unquote(fragment))
        else:
            found = self._anchors.get((root.base, unquote(fragment)))
        if found is None:
            raise SchemaError(f"undefined reference {reference!r}", node.at(keyword))
        return found

    def _entered(self, target: Node, source: Node) -> Node:
        """`target` as it is reached from `source`."""
        if not self._scoped:
            return target
        scope = source.scope
        if target.base not in scope:
            scope = (*scope, target.base)
        return Node(target.raw, target.base, target.parent, target.segment, scope)

    def _url(self, base: str, reference: str) -> tuple[str, str]:
        found = self._urls.get((base, reference))
        if found is None:
            if not base and reference.startswith("#") and reference.isprintable():
                found = "", reference[1:]
            else:
                url, fragment = urldefrag(urljoin(base, reference))
                found = url, fragment
            self._urls[base, reference] = found
        return found

    def _walked(self, root: Node, path: str) -> Node | None:
        """The place that a pointer leads to from `root`, None where it leads nowhere."""
        target = root
        for segment in path[1:].split("/"):
            if "~" in segment:
                segment = segment.replace("~1", "/").replace("~0", "~")
            try:
                target = self.child(target, segment)
            except (KeyError, IndexError, ValueError, TypeError):
                return None
        return target

    def resolve_dynamic(self, node: Node, reference: str) -> Node:
        """The target of `$dynamicRef`: the outermost anchor of that name on the way to `node`."""
        target = self.resolve(node, reference, "$dynamicRef")
        fragment = urldefrag(reference).fragment
        if not fragment or not _has(target, "$dynamicAnchor", fragment):
            return target
        for base in node.scope:
            found = self._dynamic.get((base, fragment))
            if found is not None:
                return self._entered(found, node)
        return target

    def resolve_recursive(self, node: Node) -> Node:
        """The target of `$recursiveRef: "#"`: the outermost resource that lets itself be extended.

        Where the resource at hand does not, it is meant.
        """
        target = self.resolve(node, "#", "$recursiveRef")
        if _has(target, "$recursiveAnchor", True):
            for base in node.scope:
                found = self._resources.get(base)
                if found is not None and _has(found, "$recursiveAnchor", True):
                    return self._entered(found, node)
        return target

    def number(self, node: Node) -> int:
        """Equal for two places whose schemas are written alike (annotations aside)."""
        return self._structures.number(node.raw)

    def flat(self, node: Node) -> Flat | None:
        """What the schema at `node` holds where it has no parts, equal in all documents."""
        return self._structures.flat.get(self._structures.number(node.raw))


def _has(node: Node, keyword: str, value: object) -> bool:
    return isinstance(node.raw, dict) and node.raw.get(keyword) == value


def check_nesting(parsed: Any) -> None:
    """Raise GrammarTooLargeError for JSON values nested too deeply."""
    level = [parsed] if isinstance(parsed, (dict, list)) else []
    for _ in range(MAX_NESTING):
        if not level:
            return
        level = [
            part
            for value in level
            for part in (value.values() if type(value) is dict else value)
            if type(part) is dict or type(part) is list
        ]
    raise GrammarTooLargeError(f"the schema nests more than {MAX_NESTING} levels deep")


def check_values(schema: Any) -> None:
    """Raise SchemaError for what is not JSON, GrammarTooLargeError for values nested too deeply."""
    level: list[Any] = [schema]
    for _ in range(MAX_NESTING):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                if not all(isinstance(key, str) for key in value):
                    raise SchemaError("a schema has a key that is not a string")
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
            elif isinstance(value, float):
                if value != value or value in (float("inf"), float("-inf")):
                    raise SchemaError("a schema holds NaN or Infinity, which JSON has not")
            elif value is not None and not isinstance(value, (str, int, bool)):
                raise SchemaError(
                    f"a schema holds a value that JSON has not: {type(value).__name__}"
                )
        if not inner:
            return
        level = inner
    raise GrammarTooLargeError(f"the schema nests more than {MAX_NESTING} levels deep")
