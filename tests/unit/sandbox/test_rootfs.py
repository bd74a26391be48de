"""Which of a machine's package sources a root filesystem is made from."""

import subprocess
from pathlib import Path

import pytest

from fullbore_sandbox import rootfs
from fullbore_sandbox.state import SandboxError

ARCHITECTURE = subprocess.run(
    ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What apt needs to speak of sources below another root."""
    for folder in (
        "etc/apt/sources.list.d",
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "var/lib/apt/lists/partial",
    ):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").touch()
    return tmp_path


def add(root: Path, name: str, host: str, components: str, origin: str = "") -> Path:
    """A source of this machine's release; with an origin, what apt keeps once it has asked there."""
    code = rootfs.release()
    text = f"deb [trusted=yes] http://{host}/debian {code} {components}\n"
    if name.endswith(".sources"):
        text = f"Types: deb\nURIs: http://{host}/debian\nSuites: {code}\nComponents: {components}\nTrusted: yes\n"
    file = root / "etc/apt" / name
    file.write_text(text)
    if origin:
        kept = root / "var/lib/apt/lists" / f"{host}_debian_dists_{code}"
        named = {"Origin": origin, "Label": origin, "Suite": code, "Codename": code, "Components": components}
        Path(f"{kept}_Release").write_text("".join(f"{key}: {value}\n" for key, value in named.items()))
        Path(f"{kept}_{components}_binary-{ARCHITECTURE}_Packages").touch()
    return file


def test_the_repositories_of_others_are_left_out(root: Path) -> None:
    """Docker's own names the release too; that of a chart tool or the like names `main` besides."""
    own = add(root, "sources.list.d/debian.sources", "deb.example", "main", "Debian")
    add(root, "sources.list.d/docker.list", "docker.example", "stable", "Docker")
    add(root, "sources.list.d/other.sources", "other.example", "main", "Artifactory")
    assert rootfs.sources(root) == [own]


def test_a_source_of_another_release_is_left_out(root: Path) -> None:
    own = add(root, "sources.list", "deb.example", "main", "Debian")
    (root / "etc/apt/sources.list.d/old.list").write_text("deb [trusted=yes] http://deb.example/debian potato main\n")
    assert rootfs.sources(root) == [own]


def test_before_the_first_update_all_that_name_the_release_are_taken(root: Path) -> None:
    files = [add(root, "sources.list", "deb.example", "main"), add(root, "sources.list.d/a.list", "a.example", "main")]
    assert rootfs.sources(root) == files


def test_a_mirror_that_gives_its_own_origin_is_taken_where_there_is_no_other(root: Path) -> None:
    file = add(root, "sources.list", "mirror.example", "main", "Example Site")
    assert rootfs.sources(root) == [file]


def test_no_source_is_said_with_what_to_do(root: Path) -> None:
    with pytest.raises(SandboxError, match=f"no package source names {rootfs.release()}; add one"):
        rootfs.sources(root)


def test_this_machine_has_one() -> None:
    assert rootfs.sources()
