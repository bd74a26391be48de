"""`scripts/setup` with doubles of the commands that change a machine: what it leaves, however it ends."""

import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[3] / "scripts" / "setup"
TOOLS = [
    "bash",
    "sh",
    "sed",
    "grep",
    "tr",
    "mktemp",
    "tail",
    "rm",
    "chmod",
    "flock",
    "sha256sum",
    "cut",
    "cat",
    "readlink",
    "dirname",
    "touch",
    "sleep",
]
PRESENT = [
    "mmdebstrap",
    "ssh-keygen",
    "ip",
    "git",
    "curl",
    "podman",
    "buildah",
    "runc",
    "systemctl",
    "update-rc.d",
    "deb-systemd-helper",
]
LOGGED = '#!/bin/sh\necho "${0##*/} $*" >>"$WORK/log"\n'
APT = (
    LOGGED
    + """
[ "$1" != update ] || exit 0
echo "policy $(grep -c 'exit 101' "$WORK/policy-rc.d")" >>"$WORK/log"
while [ -e "$WORK/gate" ]; do sleep 0.02; done
while [ "$1" != --no-install-recommends ]; do shift; done; shift
for package; do touch "$WORK/packages/$package" "$WORK/bin/$package"; chmod 755 "$WORK/bin/$package"; done
[ ! -e "$WORK/breaks" ]
"""
)
DPKG_QUERY = """#!/bin/sh
mode=$1; shift
[ "$mode" = -L ] || { [ ! -e "$WORK/packages/$3" ] || echo -n installed; exit; }
for package; do
  [ -e "$WORK/packages/$package" ] || continue
  printf '%s\\n' /. /lib/systemd/system/multi-user.target.wants "/lib/systemd/system/$package.service" \\
    "/usr/lib/systemd/system/$package.timer" "/usr/lib/systemd/user/$package.socket" "/etc/init.d/$package"
done
"""
PYTHON = """#!/bin/sh
case $* in *"pip install"*) echo pip >>"$WORK/log"; while [ -e "$WORK/gate" ]; do sleep 0.02; done;; esac
"""
SERVICES = ("docker-registry", "prometheus", "prometheus-alertmanager")


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A checkout on a machine that lacks the services' packages; nothing of the real machine is in reach."""
    text = SETUP.read_text()
    for path in ("/usr/sbin/policy-rc.d", "/run/fullbore-setup.lock"):
        text = text.replace(path, str(tmp_path / Path(path).name))
    program(tmp_path / "scripts" / "setup", text.replace("EUID", "ROOT"))
    (tmp_path / "packages").mkdir()
    (tmp_path / "bin").mkdir()
    for name in TOOLS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    for name in PRESENT:
        program(tmp_path / "bin" / name, LOGGED)
    program(tmp_path / "bin" / "apt-get", APT)
    program(tmp_path / "bin" / "dpkg-query", DPKG_QUERY)
    program(tmp_path / "environment" / "bin" / "python", PYTHON)
    (tmp_path / "environment" / "bin" / "pip").touch()
    (tmp_path / ".venv").symlink_to("environment")
    (tmp_path / "requirements").mkdir()
    for name in ("sandbox", "dev"):
        (tmp_path / "requirements" / f"{name}.txt").write_text(name)
    return tmp_path


def start(work: Path) -> "subprocess.Popen[str]":
    environment = {"PATH": str(work / "bin"), "WORK": str(work), "ROOT": "0", "TMPDIR": str(work)}
    return subprocess.Popen([work / "scripts" / "setup"], env=environment, stderr=subprocess.PIPE, text=True)


def logged(work: Path, word: str) -> list[str]:
    return [line for line in (work / "log").read_text().splitlines() if line.startswith(word)]


def disabled(*services: str) -> str:
    return " ".join(f"{service}.service {service}.timer" for service in services)


def test_services_that_it_installs_neither_start_nor_are_enabled(work: Path) -> None:
    with start(work) as setup:
        assert setup.wait() == 0
    assert logged(work, "policy") == ["policy 1"]
    assert logged(work, "systemctl") == [f"systemctl --quiet disable {disabled(*SERVICES)}"]
    assert logged(work, "update-rc.d") == [f"update-rc.d {service} disable" for service in SERVICES]
    assert not (work / "policy-rc.d").exists()


def test_the_services_of_a_package_that_was_there_are_left_alone(work: Path) -> None:
    (work / "packages" / "prometheus").touch()
    with start(work) as setup:
        assert setup.wait() == 0
    assert logged(work, "systemctl") == [
        f"systemctl --quiet disable {disabled('docker-registry', 'prometheus-alertmanager')}"
    ]


def test_what_a_failed_installation_brought_is_not_enabled_either(work: Path) -> None:
    (work / "breaks").touch()
    with start(work) as setup:
        assert setup.wait() == 1
    assert logged(work, "systemctl") == [f"systemctl --quiet disable {disabled(*SERVICES)}"]
    assert not (work / "policy-rc.d").exists()


def test_what_a_killed_run_brought_is_disabled_by_the_next(work: Path) -> None:
    for service in SERVICES:
        program(work / "bin" / service, LOGGED)
    (work / "packages" / "prometheus").touch()
    (work / "policy-rc.d").write_text("#!/bin/sh\n# fullbore setup: docker-registry prometheus\nexit 101\n")
    with start(work) as setup:
        assert setup.wait() == 0
    assert logged(work, "") == [
        "update-rc.d prometheus disable",
        f"systemctl --quiet disable {disabled('prometheus')}",
    ]
    assert not (work / "policy-rc.d").exists()


def test_units_are_disabled_where_systemd_is_not_installed_too(work: Path) -> None:
    (work / "bin" / "systemctl").unlink()
    with start(work) as setup:
        assert setup.wait() == 0
    assert logged(work, "deb-systemd") == [f"deb-systemd-helper disable {disabled(*SERVICES)}"]


def two_at_once(work: Path) -> None:
    """The second begins while the first stands at the gate, and says that it waits."""
    (work / "gate").touch()
    with start(work) as first:
        assert first.stderr
        first.stderr.readline()
        with start(work) as second:
            assert second.stderr
            said = second.stderr.readline()
            (work / "gate").unlink()
            assert (first.wait(), second.wait()) == (0, 0)
    assert said == "setup: another one is at work; waiting for it\n"


def test_a_second_one_installs_no_package_again(work: Path) -> None:
    two_at_once(work)
    assert logged(work, "policy") == ["policy 1"]
    assert len(logged(work, "systemctl")) == 1


def test_a_second_one_makes_no_environment_again(work: Path) -> None:
    for service in SERVICES:
        program(work / "bin" / service, LOGGED)
    (work / ".venv").unlink()
    (work / "environment").rename(work / ".venv")
    two_at_once(work)
    assert len(logged(work, "pip")) == 2
