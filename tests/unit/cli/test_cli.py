"""The command as a person runs it: its exit code, stdout and stderr."""

import json
import os
import re
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from unittest.mock import patch

import pytest

from fullbore.cli import main

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "fixtures"


def fullbore(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command's entry point in this process; a process of its own would take a second to start."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    out, err, status = StringIO(), StringIO(), 0
    with (
        chdir(ROOT),
        patch.dict(os.environ, {**inherited, "NO_COLOR": "1", **environ}, clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main(arguments)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def test_a_good_environment_is_ok() -> None:
    done = fullbore("check", "prod")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("prod: ok; 10 hosts")


def with_password(folder: Path, password: str) -> str:
    """A stack file whose replication has this password."""
    path = folder / "stack.yaml"
    agent = "arn:aws:datasync:eu-central-1:111122223333:agent/agent-0a0a0a0a0a0a0a0a0"
    replication = f"{{source: smb, server: store, user: u, password: {password}, agent_arns: ['{agent}']}}"
    parts = "cloud: {region: eu-central-1, cidr: 10.64.0.0/16, zones: [a, b]}, storage: {bucket: weights}"
    config = f"config: {{'fullbore:env': {{name: example, {parts}, replication: {replication}}}}}\n"
    path.write_text(f"encryptionsalt: v1:AAAAAAAAAAA=:v1:AAAAAAAAAAAAAAAA:AAAA\n{config}")
    return str(path)


def test_json_holds_the_plan_and_no_secret(tmp_path: Path) -> None:
    sealed = "v1:AAAAAAAAAAAAAAAA:BBBBBBBBBBBBBBBBBBBBBBBBBBBB"
    done = fullbore("check", with_password(tmp_path, f'{{secure: "{sealed}"}}'), "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["ok"] is True
    assert document["plan"]["storage"]["bucket"] == "weights"
    assert document["plan"]["replication"]["password"] == "[secret]"
    assert sealed not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["check", "explain", "inventory"])
def test_a_password_in_clear_is_refused_and_not_repeated(tmp_path: Path, command: str) -> None:
    done = fullbore(command, with_password(tmp_path, "hunter2"))
    said = done.stdout + done.stderr
    assert done.returncode == 2
    assert "replication.password: a secret in clear text" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("command", ["check", "explain", "inventory"])
def test_an_empty_name_of_an_environment_is_one_clear_message(command: str) -> None:
    done = fullbore(command, "")
    assert done.returncode == 2
    assert "ENV: got an empty name; give the path" in done.stdout + done.stderr


def test_every_problem_is_told_at_once() -> None:
    done = fullbore("check", str(FIXTURES / "config" / "typo" / "in.yaml"), "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 2
    assert document["ok"] is False
    assert document["plan"] is None
    assert [problem["path"] for problem in document["problems"]] == [
        "gatway",
        "site.groups.gpu.gpu_per_host",
        "site.groups.gpu.hosts.gpu-01.hostkey",
    ]


@pytest.mark.parametrize(
    ("command", "env"), [("check", "no/such/file.yaml"), ("explain", "nowhere"), ("inventory", ".")]
)
def test_an_environment_that_is_not_there_is_one_clear_line(command: str, env: str) -> None:
    done = fullbore(command, env)
    assert done.returncode == 2
    assert f"{env}: there is no such" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_file_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.x.yaml").mkdir()
    for name in (str(tmp_path / "Pulumi.x.yaml"), "/dev/null"):
        done = fullbore("check", name)
        assert (done.returncode, f"{name}: this is no plain file" in done.stdout) == (2, True)


def test_letters_that_the_terminal_has_not_are_spelt_out() -> None:
    written = BytesIO()
    out = TextIOWrapper(written, encoding="ascii", write_through=True)
    with redirect_stdout(out), pytest.raises(SystemExit):
        main(["check", "d\u00e9v"])
    assert b"d\\xe9v: there is no such environment" in written.getvalue()


def test_a_reader_that_goes_ends_it_quietly() -> None:
    code = "from fullbore.output import *\nwith ending_with_the_reader(): print('unread', flush=True)"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_wrong_passphrase_is_told_before_the_engine_starts(tmp_path: Path) -> None:
    salt = "encryptionsalt: v1:kRVTbYmAH8E=:v1:in/Kvouj7oolU9qd:VwAiMIDTujyMjW/EUHGjFjlGvaN11w==\n"
    path = tmp_path / "stack.yaml"
    path.write_text(salt + "config:\n  fullbore:env:\n    name: example\n")
    wrong = fullbore("check", str(path), PULUMI_CONFIG_PASSPHRASE="hunter3")
    assert wrong.returncode == 2
    assert "encryptionsalt: the passphrase in PULUMI_CONFIG_PASSPHRASE" in wrong.stdout
    assert fullbore("check", str(path), PULUMI_CONFIG_PASSPHRASE="hunter2").returncode == 0


def test_inventory_is_what_ansible_reads() -> None:
    inventory = json.loads(fullbore("inventory", "prod").stdout)
    assert inventory["group_gpu_r01"]["hosts"] == ["gpu-r01-01", "gpu-r01-02", "gpu-r01-03", "gpu-r01-04"]
    assert inventory["_meta"]["hostvars"]["nvme-01"]["ansible_host"] == "198.51.100.51"


def test_inventory_of_no_site_is_empty() -> None:
    assert json.loads(fullbore("inventory", "dev").stdout) == {"_meta": {"hostvars": {}}}


def test_imports_is_the_file_that_pulumi_takes_over_machines_by() -> None:
    found = json.loads(fullbore("imports", "prod").stdout)["resources"]
    assert [(each["name"], each.get("parent"), each.get("component", False)) for each in found[:2]] == [
        ("stack", None, True),
        ("site", "stack", True),
    ]
    ids = {each["name"]: each["id"] for each in found[2:]}
    assert ids["site-gpu-r01"] == "r01/gpu-r01"
    some = json.loads(fullbore("imports", "prod", "--group", "gpu-r01", "--existing-site").stdout)
    assert [each["id"] for each in some["resources"]] == ["r01/gpu-r01"]
    assert some["nameTable"]["site"].startswith("urn:pulumi:prod::fullbore::fullbore:index:HybridStack$")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("dev",), "has no machines to import"), (("prod", "--group", "gpu"), "--group: got gpu, but the groups of prod")],
)
def test_imports_of_what_is_not_there_is_refused(arguments: tuple[str, ...], said: str) -> None:
    done = fullbore("imports", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_inventory_of_a_plan_with_errors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    group = "{kind: storage, rack: r1, hosts: {h1: {serial: A}}}"
    site = f"{{name: hall, cidr: 192.0.2.0/24, fabric: roce, groups: {{g1: {group}}}}}"
    path.write_text(f"config: {{'fullbore:env': {{name: example, site: {site}}}}}")
    done = fullbore("inventory", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "site.groups.g1.hosts.h1.host_key: missing" in done.stderr


def test_explain_speaks_of_each_part() -> None:
    done = fullbore("explain", "prod")
    assert done.returncode == 0
    for words in (
        "fit of one GPU",
        "layouts",
        "rules of thumb",
        "643,520",
        "cloud capacity",
        "p5en.48xlarge",
        "eu-north-1a (eun1-az1)",
        "recovery",
        "US dollars an hour",
    ):
        assert words in done.stdout
    assert "\x1b" not in done.stdout


COLOUR = r"\x1b\[[0-9;]*3[0-9]m"


@pytest.mark.parametrize("width", [80, 160])
def test_explain_on_a_terminal_has_colours_and_its_width(width: int) -> None:
    shown = fullbore("explain", "prod", FORCE_COLOR="1", NO_COLOR="", COLUMNS=str(width), TERM="xterm").stdout
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "\x1b[1msite\x1b[0m" in shown
    assert max(map(len, plain.splitlines())) <= width
    without = fullbore("explain", "prod", FORCE_COLOR="1", COLUMNS=str(width), TERM="xterm").stdout
    assert re.search(COLOUR, shown)
    assert not re.search(COLOUR, without), "NO_COLOR is set"


def test_explain_in_a_pipe_is_plain_text() -> None:
    shown = fullbore("explain", "prod").stdout
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 160


def test_explain_as_json() -> None:
    document = json.loads(fullbore("explain", "prod", "--json").stdout)
    assert document["fit of one GPU"][0]["KV tokens of a replica"] == 643_520
    assert document["problems"] == []


def test_neither_pulumi_nor_ansible_is_imported() -> None:
    heavy = "('pulumi', 'pulumi_aws', 'pulumi_kubernetes', 'ansible', 'boto3', 'kubernetes', 'grpc')"
    code = (
        "import sys\nfrom fullbore.cli import main\n"
        f"try:\n    main(['check', 'prod'])\nfinally:\n    print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "components")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_switch_settings_are_printed_for_the_planned_profile() -> None:
    done = fullbore("switch", "staging")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nv set qos roce mode lossless" in done.stdout
    assert "qos profile" in fullbore("switch", "staging", "--system", "eos").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("prod",), "site.fabric: switch settings are those of a RoCE fabric"),
        (("local",), "--system: got none, and no profile that says it; one of cumulus, onyx, sonic, eos"),
        (("staging", "--system", "ios"), "--system: got ios"),
    ],
)
def test_switch_settings_that_cannot_be_written_are_refused(arguments: tuple[str, ...], said: str) -> None:
    done = fullbore("switch", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
