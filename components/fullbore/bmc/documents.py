"""Reading Redfish documents: every property may be missing, null, or of another type than its schema says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

Document = Mapping[str, Any]
Get = Callable[[str], "Document | None"]
"""The document at a path of the service; None where there is none."""


def at(document: Document, *keys: str) -> Any:
    """The value below these keys; None where one of them is missing."""
    value: Any = document
    for key in keys:
        value = cast("Document", value).get(key) if isinstance(value, Mapping) else None
    return value


def text(document: Document, *keys: str) -> str:
    """One line that can be printed, without blanks around it; empty where there is none."""
    value = at(document, *keys)
    return "".join(filter(str.isprintable, value)).strip() if isinstance(value, str) else ""


def number(document: Document, *keys: str) -> float | None:
    value = at(document, *keys)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole(document: Document, *keys: str) -> int | None:
    value = number(document, *keys)
    return None if value is None else int(value)


def items(document: Document, *keys: str) -> list[Document]:
    """The objects of a list."""
    value = at(document, *keys)
    return [each for each in cast("list[Any]", value) if isinstance(each, Mapping)] if isinstance(value, list) else []


def texts(document: Document, *keys: str) -> list[str]:
    value = at(document, *keys)
    return [each for each in cast("list[Any]", value) if isinstance(each, str)] if isinstance(value, list) else []


class Tree:
    """The resources of one service, followed by their links. `expand` asks for collections with their members, which
    saves a request for each (DSP0266, "The $expand query parameter"); not every service knows it.
    """

    def __init__(self, get: Get, *, expand: bool = False) -> None:
        self._get, self._expand = get, expand

    def follow(self, document: Document, *keys: str) -> Document | None:
        """The resource that a link leads to; None where there is no link, or nothing at its end."""
        path = text(document, *keys, "@odata.id")
        return self._get(path) if path else None

    def linked(self, document: Document, *keys: str) -> Iterator[Document]:
        """The resources of a list of links, those that are there."""
        for link in items(document, *keys):
            found = link if len(link) > 1 else self.follow(link)
            if found is not None:
                yield found

    def members(self, document: Document, *keys: str) -> Iterator[Document]:
        """The resources of a collection that a link leads to, page by page."""
        path, seen = text(document, *keys, "@odata.id"), set[str]()
        page = self._collection(path) if path else None
        while page is not None:
            seen.add(path)
            yield from self.linked(page, "Members")
            path = text(page, "Members@odata.nextLink")
            page = self._get(path) if path and path not in seen else None

    def present(self, document: Document, *keys: str) -> Iterator[Document]:
        """Members that are plugged in: an empty slot may be listed, as Absent."""
        return (member for member in self.members(document, *keys) if here(member))

    def _collection(self, path: str) -> Document | None:
        if self._expand:
            found = self._get(f"{path}?$expand=.($levels=1)")
            if found is not None:
                return found
        return self._get(path)


def here(document: Document) -> bool:
    return text(document, "Status", "State") != "Absent"


def health(document: Document) -> str:
    return text(document, "Status", "Health")
