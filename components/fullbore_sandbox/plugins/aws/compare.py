"""Pure comparisons: what a preview can say, what drift is, and which inputs really differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fullbore.provider.base import UNKNOWN, Map
from fullbore.provider.values import has_unknown
from fullbore_sandbox.plugins.aws.convert import canonical, refreshed
from fullbore_sandbox.plugins.aws.row import TOKEN_TAG, Row
from fullbore_sandbox.plugins.aws.schema import Field, ResourceSchema


def root(path: str) -> str:
    """The top-level property of a path; none of theirs holds a dot or bracket."""
    return path.split(".")[0].split("[")[0]


def merged_tags(defaults: Mapping[str, str], own: Any) -> Any:
    if own is None:
        return dict(defaults)
    return {**defaults, **own} if isinstance(own, Mapping) else own


def shown(live: Map) -> Map:
    """Live values without the tags that the stand-in or AWS put there."""
    if not isinstance(live.get("tags"), Mapping):
        return live
    tags = {k: v for k, v in live["tags"].items() if k != TOKEN_TAG and not k.startswith("aws:")}
    return {**live, "tags": tags}


def with_tags_all(schema: ResourceSchema, outputs: Map) -> Map:
    return {**outputs, "tagsAll": outputs.get("tags") or {}} if "tagsAll" in schema.outputs else outputs


def previewed(row: Row, schema: ResourceSchema, news: Map) -> Map:
    """What can be said of an object before it is made: its inputs, and that the rest is not known."""
    unknown = {k: UNKNOWN for k in schema.outputs if k not in news and k not in row.absent and k != "id"}
    outputs = {**unknown, **{k: v for k, v in news.items() if k in schema.outputs}, **filled_by_aws(row, news, {})}
    return with_tags_all(schema, outputs)


def filled_by_aws(row: Row, news: Map, olds: Map) -> Map:
    """Objects that AWS adds something to: what it added before stays, and otherwise is not known yet."""
    found: Map = {}
    for name, added in row.filled.items():
        if isinstance(news.get(name), dict):
            before = olds.get(name) or {}
            found[name] = {**{k: before.get(k, UNKNOWN) for k in added}, **news[name]}
    return found


def inputs_now(row: Row, schema: ResourceSchema, old: Map, live: Map) -> Map:
    """The inputs that would give the live object: drift is where they differ from the old ones.

    Without old inputs the object is imported: then everything that differs from a default was somebody's wish.
    """
    visible = shown(live)
    now: Map = {}
    for name, field in schema.inputs.items():
        if name in row.unreadable or name not in row.inputs:
            value = old.get(name)
        elif name in old:
            value = _follow(field, old[name], visible.get(name))
        else:
            value = _added(row, name, visible.get(name), importing=not old)
        if value is not None:
            now[name] = value
    return now


def _follow(field: Field, old: Any, live: Any) -> Any:
    if live is None:
        # An API leaves out what is empty or off; only a value that said something is gone.
        return old if old in (False, "", [], {}) else None
    return live if field.shape.kind == "map" else refreshed(old, live)


def _added(row: Row, name: str, live: Any, importing: bool) -> Any:
    """A value that nobody wrote: drift, unless it is what AWS puts there by itself."""
    if isinstance(live, Mapping):
        live = {k: v for k, v in live.items() if not _by_itself(row, name, k, v)}
    quiet = live in (None, "", [], {}, False) or (name in row.computed and not importing)
    return None if quiet or canonical(live) == canonical(row.defaults.get(name)) else live


def _by_itself(row: Row, name: str, inner: str, value: Any) -> bool:
    default = row.defaults.get(f"{name}.{inner}")
    return inner in row.filled.get(name, ()) or (default is not None and canonical(value) == canonical(default))


def same_to_aws(row: Row, path: str, kind: str, olds: Map, news: Map) -> bool:
    """True where nothing changes: an input was left out that AWS fills by itself, or it only spells out a default."""
    if kind == "delete" and path in row.computed:
        return True
    given = news.get(path) if kind == "add" else olds.get(path)
    return kind in ("add", "delete") and path in row.defaults and canonical(given) == canonical(row.defaults[path])


def aligned(old: Any, new: Any) -> Any:
    """`new`, with the spelling of `old` wherever AWS sees no difference between them."""
    if not has_unknown(new) and canonical(old, documents=True) == canonical(new, documents=True):
        return old
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {k: aligned(old.get(k), v) for k, v in new.items()}
    return new


def replaces(row: Row, path: str) -> bool:
    return any(path == key or path.startswith((f"{key}.", f"{key}[")) for key in row.replace)
