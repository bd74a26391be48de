"""The plugin process, and its helper for settling what a killed run left: `recover URN TOKEN`."""

from __future__ import annotations

import sys

from fullbore.provider.base import ProviderError, serve


def recover(urn: str, token: str) -> str:
    """The id of the object that a killed run made for `urn` with `token`; empty where it made none."""
    from fullbore_sandbox.plugins.aws import journal
    from fullbore_sandbox.plugins.aws.api import Api, Settings, gone
    from fullbore_sandbox.plugins.aws.rows import ROWS

    begun = [e for e in journal.entries() if e["urn"] == urn and e["token"] == token]
    if not begun:
        raise ProviderError(f"{urn}: the journal holds no creation with this token; is {journal.JOURNAL} set?")
    entry = begun[-1]
    if entry["phase"] != "begin":  # the answer was seen: an id, or a refusal
        return entry["id"]
    settings = Settings(
        region=entry["region"], endpoints=entry["endpoints"], access_key="test", secret_key="test", default_tags={}
    )
    try:
        return ROWS[entry["type"]].find(Api(settings), token) or ""
    except Exception as error:
        if gone(error):
            return ""
        raise


def main(argv: list[str]) -> int:
    if argv[:1] == ["recover"]:
        if len(argv) != 3:
            print("usage: recover URN TOKEN", file=sys.stderr)
            return 2
        try:
            found = recover(argv[1], argv[2])
        except ProviderError as error:
            print(error, file=sys.stderr)
            return 1
        if found:
            print(found)
        return 0
    from fullbore_sandbox.plugins.aws.provider import AwsProvider

    serve(AwsProvider(), argv)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
