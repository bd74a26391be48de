"""`scripts/preview`'s program, the real engine: two sides of a small repository; nothing contacted, nothing left."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from fullbore.report.scratch import copy_working_tree, run
from fullbore_sandbox import engine

ROOT = Path(__file__).parents[2]
OFFLINE = """
ip link set lo up || exit 99
out=$1; shift
"$@"
status=$?
cat /proc/net/snmp /proc/net/snmp6 > "$out"
exit $status
"""
"""Runs a command in a network of its own in which there is loopback only, then writes that network's counters."""
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """This working tree as the first commit of a repository of its own."""
    root = tmp_path / "repository"
    root.mkdir()
    copy_working_tree(ROOT, root)
    for command in (("init", "--quiet", "--initial-branch=main"), ("add", "."), ("commit", "--quiet", "--message=one")):
        run([*GIT, *command], root, os.environ)
    return root


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An engine on PATH, and a folder for temporary files that is empty again at the end."""
    folders = dict.fromkeys(program.parent for program in engine.programs())
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    yield os.environ | {
        "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT / "components"),
        "TMPDIR": str(temporary),
    }
    assert list(temporary.iterdir()) == []


def offline(counters: Path) -> tuple[str, ...]:
    """The words before a command that may reach loopback only; its network's counters are in the file at the end."""
    return ("unshare", "--net", "sh", "-c", OFFLINE, "sh", str(counters))


def tried_to_leave(counters: Path) -> int:
    """How often something had no route, or asked a name server or a proxy of this machine that is not there: each
    connection or packet to anywhere but the preview's own programs is one."""
    told = dict[str, int]()
    lines = [line.split() for line in counters.read_text().splitlines()]
    for names, values in pairwise(lines):
        if names[0] == values[0]:
            told |= {names[0][:-1] + name: int(value) for name, value in zip(names[1:], values[1:], strict=True)}
    told |= {words[0]: int(words[1]) for words in lines if words[0].startswith(("Ip6", "Udp6"))}
    return sum(
        told[name] for name in ("IpOutNoRoutes", "UdpNoPorts", "TcpAttemptFails", "Ip6OutNoRoutes", "Udp6NoPorts")
    )


def previewed(
    repository: Path, environ: dict[str, str], *arguments: str, before: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-m", "fullbore.report.preview", *arguments]
    return subprocess.Popen(
        command, cwd=repository, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


CONNECT = "import socket, contextlib\nwith contextlib.suppress(OSError): socket.create_connection(('{}', {}))"
ASK = "import socket\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'?', ('{}', {}))"


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("pass", 0),
        (CONNECT.format("192.0.2.1", 80), 1),  # nobody's (RFC 5737)
        (CONNECT.format("127.0.0.1", 3128), 1),
        (ASK.format("127.0.0.53", 53), 1),
    ],
)
def test_an_attempt_to_leave_the_machine_is_counted(code: str, count: int, tmp_path: Path) -> None:
    run([*offline(tmp_path / "counters"), sys.executable, "-c", code], tmp_path, os.environ)
    assert tried_to_leave(tmp_path / "counters") == count


def test_the_difference_of_two_sides_offline(repository: Path, environ: dict[str, str], tmp_path: Path) -> None:
    dev = repository / "stacks" / "Pulumi.dev.yaml"
    text = dev.read_text()
    assert "expire_noncurrent_days: 14" in text
    dev.write_text(text.replace("expire_noncurrent_days: 14", "expire_noncurrent_days: 7"))
    (repository / "stacks" / "Pulumi.extra.yaml").write_text("config:\n  fullbore:env:\n    nmae: extra\n")
    counters = tmp_path / "counters"
    # Nothing is known from an earlier run: a program that asks the network once a week asks now.
    environ |= {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with previewed(repository, environ, "dev", "extra", "--json", before=offline(counters)) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 2, err
    assert tried_to_leave(counters) == 0, "something was contacted, or tried to be"
    dev_report, extra = json.loads(out)["environments"]
    assert dev_report["status"] == {"base": "previewed", "head": "previewed"}, dev_report["reason"]
    (change,) = dev_report["changes"]
    assert (change["kind"], change["name"]) == ("change", "storage-lifecycle")
    assert [(item["before"], item["after"]) for item in change["properties"]] == [(14, 7)]
    assert dev_report["usd_per_hour_delta"] == 0
    assert extra["status"] == {"base": "absent", "head": "refused"}
    assert {problem["path"] for problem in extra["problems"]} == {"name", "nmae"}


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_told_to_stop_it_removes_what_it_made(told: signal.Signals, repository: Path, environ: dict[str, str]) -> None:
    # A run under nohup hands on that a lost session is ignored, and the command keeps to that.
    handled = ("env", "--default-signal=INT,TERM,HUP")
    with previewed(repository, environ, "dev", before=handled) as process:
        assert process.stderr
        process.stderr.readline()  # the first environment has begun
        process.send_signal(told)
        process.communicate(timeout=60)
    assert process.returncode == 128 + told
