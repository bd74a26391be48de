"""Any environment that can be read can be planned: what is wrong with it comes back as problems."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from fullbore.config import ConfigError, parse
from fullbore.plan import make_plan

STACKS = Path(__file__).parents[3] / "stacks"
ENVIRONMENTS = [
    yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["config"]["fullbore:env"]
    for path in sorted(STACKS.glob("Pulumi.*.yaml"))
]
NEW_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 10**9),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["10.0.0.0/8", "0.0.0.0/0", "10.0.0.0/32", "a", "rate(1 hour)", "s3://[", "t4", "storage"]),
    st.just({}),
    st.just([]),
)


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a nested value."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((*before, key), *paths(item, (*before, key)))]


def changed(value: Any, path: tuple[Any, ...], new: object) -> Any:
    """A copy with another value at `path`; `...` removes it."""
    if not path:
        return new
    if isinstance(value, list):
        return [changed(item, path[1:], new) if index == path[0] else item for index, item in enumerate(value)]
    if len(path) == 1 and new is ...:
        return {key: item for key, item in value.items() if key != path[0]}
    return {key: changed(item, path[1:], new) if key == path[0] else item for key, item in value.items()}


@given(st.data())
def test_a_changed_environment_is_refused_or_planned(data: st.DataObject) -> None:
    env = data.draw(st.sampled_from(ENVIRONMENTS))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths(env)))
        env = changed(env, path, data.draw(st.one_of(NEW_VALUES, st.just(...)))) if path else env
    try:
        parsed = parse(env)
    except ConfigError:
        return
    for problem in make_plan(parsed).problems:
        assert problem.path
        assert problem.message
