"""The least change that makes a lock of versions good: an exact search over releases. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fullbore.catalog.versions.conflicts import Condition, Conflict

Lock = Mapping[str, str]
Meets = Callable[[Condition, str], bool]
Cost = tuple[int, int, int, list[int], list[tuple[str, str]]]
Distance = Callable[[str, str, tuple[str, ...]], int]


def change_cost(lock: Lock, changes: Lock, releases: Mapping[str, tuple[str, ...]], distance: Distance) -> Cost:
    """What changes are compared by: how many, how many back, how many releases apart, then the order of the parts."""
    order = list(releases)
    steps = [distance(lock[part], release, releases[part]) for part, release in changes.items()]
    backward = sum(step < 0 for step in steps)
    return len(changes), backward, sum(map(abs, steps)), sorted(map(order.index, changes)), sorted(changes.items())


@dataclass(frozen=True)
class Search:
    """One search. Rows are numbered; `masks` has, for each part and release, a bit for every row that the release does
    not rule out: a lock is good where the masks of its releases share no bit."""

    lock: Lock
    masks: Mapping[str, Mapping[str, int]]
    options: Mapping[str, tuple[str, ...]]
    """Releases worth a try, by part: of those that rule out the same rows, or fewer, only the nearest."""
    parts: tuple[frozenset[str], ...]
    """Parts of each row that can be changed."""

    def bad(self, changes: Lock) -> int:
        """The rows that the changed lock is one of, as bits."""
        left = (1 << len(self.parts)) - 1
        for part, masks in self.masks.items():
            left &= masks[changes.get(part, self.lock[part])]
        return left

    def reach(self, depth: int, changes: dict[str, str], seen: set[frozenset[tuple[str, str]]]) -> Iterator[Lock]:
        """Sets of at most `depth` more changes that make the lock good, every one that may be the least among them.

        A bad combination ends only when one of its own parts changes, so only those are tried, for the combination
        that leaves the fewest choices.
        """
        key = frozenset(changes.items())
        bad = self.bad(changes)
        if key in seen or self.fewest(bad, changes) > depth:
            return
        seen.add(key)
        if not bad:
            yield dict(changes)
            return
        for part, release in min((self.ways_out(row, changes) for row in _bits(bad)), key=len):
            yield from self.reach(depth - 1, {**changes, part: release}, seen)

    def ways_out(self, row: int, changes: Lock) -> list[tuple[str, str]]:
        """Changes that end one bad combination."""
        free = (part for part in sorted(self.parts[row]) if part not in changes)
        return [
            (part, release) for part in free for release in self.options[part] if not self._allows(part, release, row)
        ]

    def _allows(self, part: str, release: str, row: int) -> bool:
        return bool(self.masks[part][release] >> row & 1)

    def fewest(self, bad: int, changes: Lock) -> int:
        """A number of changes that cannot be undercut: bad combinations that share no part need one each."""
        taken: set[str] = set()
        count = 0
        for row in _bits(bad):
            free = {part for part in self.parts[row] if part not in changes}
            if taken.isdisjoint(free):
                taken |= free
                count += 1
        return count


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def prepare(
    lock: Lock,
    rows: tuple[Conflict, ...],
    releases: Mapping[str, tuple[str, ...]],
    facts: frozenset[str],
    meets: Meets,
    distance: Distance,
) -> Search:
    """The search of a lock over `rows`, which can all occur; parts that are not in `releases` are not changed."""
    locked = tuple(row for row in rows if all(c.part in lock or c.part in facts for c in row.when))
    used = dict.fromkeys(c.part for row in locked for c in row.when if c.part not in facts)

    named = {part: [(n, c) for n, row in enumerate(locked) for c in row.when if c.part == part] for part in used}

    def mask(part: str, release: str) -> int:
        ruled_out = {number for number, condition in named[part] if not meets(condition, release)}
        return (1 << len(locked)) - 1 - sum(1 << number for number in ruled_out)

    masks = {part: {r: mask(part, r) for r in dict.fromkeys((lock[part], *releases.get(part, ())))} for part in used}
    options = {part: _worth(lock[part], releases.get(part, ()), masks[part], distance) for part in used}
    parts = tuple(frozenset(c.part for c in row.when if options.get(c.part)) for row in locked)
    return Search(lock=lock, masks=masks, options=options, parts=parts)


def _worth(current: str, releases: tuple[str, ...], masks: Mapping[str, int], distance: Distance) -> tuple[str, ...]:
    """Releases, nearest first, without those that a nearer one can stand for: it rules out the same rows, or more."""

    def far(release: str) -> tuple[bool, int]:
        steps = distance(current, release, releases)
        return steps < 0, abs(steps)

    kept: list[str] = []
    for release in sorted((r for r in releases if r != current), key=far):
        if all(masks[nearer] & ~masks[release] for nearer in (current, *kept)):
            kept.append(release)
    return tuple(kept)


def least(search: Search, cost: Callable[[Lock], Cost]) -> Lock | None:
    """The cheapest changes that make the lock good; None where none do."""
    most = len(search.options)
    if next(search.reach(most, {}, set()), None) is None:
        return None
    for depth in range(most + 1):
        found = list(search.reach(depth, {}, set()))
        if found:
            return min(found, key=cost)
    return None
