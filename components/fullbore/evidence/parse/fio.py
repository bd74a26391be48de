"""`fio --output-format=json`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from fullbore.evidence.unreadable import Unreadable

_START = re.compile(r"^\{", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """The sum of all jobs. `error` is the first errno of a job, 0 where none failed."""

    read_iops: float
    write_iops: float
    read_bytes_s: float
    write_bytes_s: float
    error: int


def parse_fio(text: str) -> Rates:
    """fio may print its banner and warnings before the JSON."""
    start = _START.search(text)
    if not start:
        raise Unreadable("it holds no JSON object")
    try:
        jobs: list[dict[str, Any]] = json.JSONDecoder().raw_decode(text, start.start())[0]["jobs"]
        rates = Rates(
            read_iops=sum(float(job["read"]["iops"]) for job in jobs),
            write_iops=sum(float(job["write"]["iops"]) for job in jobs),
            read_bytes_s=sum(float(job["read"]["bw_bytes"]) for job in jobs),
            write_bytes_s=sum(float(job["write"]["bw_bytes"]) for job in jobs),
            error=next((int(job["error"]) for job in jobs if job["error"]), 0),
        )
    except json.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error.msg} at character {error.pos}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"a job lacks {error}") from None
    if not jobs:
        raise Unreadable("it lists no job")
    return rates
