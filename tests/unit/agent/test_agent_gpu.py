"""The GPU driver of a host, with the tools' own outputs and with the double."""

from __future__ import annotations

import pytest
from agent_machine import put

from fullbore_agent import gpu
from fullbore_agent.apply import apply
from fullbore_agent.packages import install, is_release, upstream
from fullbore_agent.settings import awaiting_reboot, drifted, read_all
from fullbore_agent.system import System, ToolError

OPEN = "open 580.95.05"


def setting(id: str, want: str, *, reboot: bool = True) -> dict[str, object]:
    return {"id": id, "role": "gpu_driver", "want": want, "reboot": reboot}


PACKAGES = [
    setting("package.nvidia-headless-580-open", "580.95.05,hold", reboot=False),
    setting("package.nvidia-utils-580", "580.95.05,hold", reboot=False),
]
LOADED = setting("driver.loaded", OPEN)
DIVIDED = [setting("persistence.all", "Enabled"), setting("mig.0", "4g.40gb,3g.40gb"), setting("mig.1", "off")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # nix-community/nixGL#186 and #121; NVIDIA's older form
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  "
            "(dvs-builder@U16-A24-9-2)  Thu Oct 10 12:15:00 UTC 2024\nGCC version:  gcc version 13.3.0 (Ubuntu "
            "13.3.0-6ubuntu2~24.04)\n",
            "open 565.57.01",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  525.60.11  Release Build  "
            "(archlinux-builder@localhost)  \nGCC version:  gcc version 12.2.0 (GCC) \n",
            "open 525.60.11",
        ),
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57.02  Tue Jul 13 16:14:05 UTC 2021\n",
            "proprietary 470.57.02",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  570.124.06  Release Build\n", "open 570.124.06"),
    ],
)
def test_the_loaded_driver_is_read_in_each_form(text: str, expected: str) -> None:
    assert gpu.parse_version(text) == expected


def test_instances_are_read_as_nvidia_smi_lists_them() -> None:
    """From NVIDIA/DCGM#138."""
    rule = "+-------------------------------------------------------+\n"
    rows = [
        "|   0  MIG 1g.10gb         19        9          2:1     |\n",
        "|   0  MIG 1g.10gb         19       10          3:1     |\n",
        "|   0  MIG 2g.20gb         14        3          0:2     |\n",
        "|   0  MIG 3g.40gb          9        2          4:4     |\n",
        "|   1  MIG 1g.10gb+me      20       13          2:1     |\n",
    ]
    head = (
        "| GPU instances:                                        |\n"
        "| GPU   Name             Profile  Instance   Placement  |\n"
        "|                          ID       ID       Start:Size |\n"
        "|=======================================================|\n"
    )
    assert gpu.parse_instances(rule + head + rule.join(rows) + rule) == {
        0: ["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"],
        1: ["1g.10gb+me"],
    }


def test_options_are_read_as_modprobe_reads_them() -> None:
    text = '# ours\noptions nvidia NVreg_A=1 NVreg_B="PeerMappingOverride=1;"\noptions other X=1\n'
    assert gpu.parse_options(text) == {"NVreg_A": "1", "NVreg_B": "PeerMappingOverride=1;"}


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("580.95.05-0ubuntu0.24.04.2", "580.95.05"),
        ("1:4.18.3-1", "4.18.3"),
        ("1.33.5-1.1", "1.33.5"),
        ("1.7.28-1~ubuntu.24.04~noble", "1.7.28"),
        ("1.6.20~ds1-1+deb12u1", "1.6.20~ds1"),
        ("2.0", "2.0"),
    ],
)
def test_the_release_of_a_package_is_its_upstream_version(version: str, release: str) -> None:
    assert upstream(version) == release
    assert is_release(version, release)


def test_a_release_may_be_named_in_short_and_is_not_taken_for_a_longer_one() -> None:
    assert is_release("1.33.5-1.1", "1.33")
    assert is_release("2025.06.11-1", "any")
    assert is_release("1.6.20~ds1-1+deb12u1", "1.6.20")
    assert not is_release("1.33.5-1.1", "1.3")
    assert not is_release("580.95.050-1", "580.95.05")


def ready(system: System) -> None:
    """Install and load the driver, where no service of it runs."""
    stopped = system.hardware("/usr/bin/systemctl")
    stopped.write_text("#!/bin/sh\n[ $1 = show ] && echo ActiveState=inactive\nexit 0\n")
    stopped.chmod(0o755)
    install(system, PACKAGES)
    assert apply(system, [LOADED]).failures == []
    assert read_all(system, {"driver.loaded": OPEN}) == {"driver.loaded": OPEN}


def put_module(system: System, driver: str) -> None:
    """Another driver is installed by someone else."""
    system.hardware("/state/modules/nvidia").write_text(driver + "\n")
    system.forget()


def test_packages_are_installed_together_and_held_and_the_second_time_nothing_is(system: System) -> None:
    wants = {str(s["id"]): str(s["want"]) for s in PACKAGES}
    foreseen = install(system, PACKAGES, check=True)
    assert foreseen[0] == ("nvidia-headless-580-open", "absent", "580.95.05,hold")
    assert read_all(system, wants) == dict.fromkeys(wants, "absent")
    assert install(system, PACKAGES, idle_gpus=True) == foreseen
    assert read_all(system, wants) == wants
    assert install(system, PACKAGES) == []


def test_a_package_of_any_release_is_only_held(system: System) -> None:
    wanted = [setting("package.nvlsm", "any,hold", reboot=False)]
    assert install(system, wanted) == [("nvlsm", "absent", "any,hold")]
    assert install(system, wanted) == []


def test_a_release_that_apt_does_not_have_is_named_with_those_it_has(system: System) -> None:
    wanted = [setting("package.nvidia-utils-580", "580.1.2,hold")]
    with pytest.raises(
        ToolError, match=r"nvidia-utils-580: 580\.1\.2 is wanted, apt has 580\.95\.05-1ubuntu1, .*mirror"
    ):
        install(system, wanted)


class Slow(System):
    """Each tool that changes something takes so many seconds of a clock."""

    def __init__(self, takes_s: float) -> None:
        super().__init__("", "")
        self.takes_s, self.now, self.limits = takes_s, 0.0, dict[str, float]()

    def run(self, *argv: str) -> str:
        return " nvlsm | 1.2-1 | mirror\n" if argv[0] == "apt-cache" else "un\t"

    def change(self, *argv: str, timeout_s: float = 30) -> None:
        self.limits[f"{argv[0]} {argv[-1]}"] = timeout_s
        self.now += self.takes_s


@pytest.mark.parametrize(("takes_s", "limits"), [(300, [850, 550, 250, 30]), (500, [850, 350])])
def test_all_of_an_installation_ends_before_ansible_ends_the_task(
    monkeypatch: pytest.MonkeyPatch, takes_s: float, limits: list[float]
) -> None:
    slow = Slow(takes_s)
    monkeypatch.setattr("fullbore_agent.packages.monotonic", lambda: slow.now)
    if len(limits) == 2:
        with pytest.raises(ToolError, match="apt-get: not begun, for 850 s are over"):
            install(slow, [setting("package.nvlsm", "1.2,hold")])
    else:
        install(slow, [setting("package.nvlsm", "1.2,hold")])
    assert list(slow.limits.values()) == limits


class Unfetched(Slow):
    """apt-get's own words where a mirror is down (Debian 12)."""

    def change(self, *argv: str, timeout_s: float = 30) -> None:
        super().change(*argv, timeout_s=timeout_s)
        if "update" in argv:
            last = "Some index files failed to download. They have been ignored, or old ones used instead."
            first = (
                "Failed to fetch http://mirror/dists/x/InRelease  Could not connect to mirror:80 (Connection refused)"
            )
            raise ToolError(f"apt-get: E: {last}", f"E: {first}\nE: {last}\n")


def test_a_mirror_that_is_down_is_named() -> None:
    down = Unfetched(0)
    with pytest.raises(
        ToolError, match=r"apt-get: Failed to fetch http://mirror/.*refused\); see that the mirror answers"
    ):
        install(down, [setting("package.nvlsm", "1.2,hold")])
    assert list(down.limits) == ["dpkg -a", "apt-get --error-on=any"], "nothing was installed"


def test_no_package_changes_while_something_runs_on_the_gpus(system: System) -> None:
    ready(system)
    users = system.hardware("/sys/module/nvidia_uvm/refcnt")
    users.write_text("3\n")
    other = [setting("package.nvidia-utils-580", "580.82.07,hold")]
    with pytest.raises(ToolError, match="something runs on the GPUs; drain the host"):
        install(system, other, idle_gpus=True)
    assert install(system, PACKAGES, idle_gpus=True) == [], "nothing to change is no reason to refuse"


def test_a_driver_in_use_waits_for_the_reboot_and_holds_up_what_it_does_not_show(system: System) -> None:
    ready(system)
    system.hardware("/sys/module/nvidia_uvm/refcnt").write_text("1\n")
    put_module(system, "open 590.48.01")
    newer = setting("driver.loaded", "open 590.48.01")
    applied = apply(system, [newer])
    assert (applied.changes, applied.failures) == ([], []), "it waited before, and waits still"
    settings = [newer, *DIVIDED]
    values = read_all(system, {str(s["id"]): str(s["want"]) for s in settings})
    assert values["driver.loaded"] == "open 580.95.05; at boot: open 590.48.01"
    assert awaiting_reboot(settings, values) == ["driver.loaded", "persistence.all", "mig.0"]
    assert drifted(settings, values) == {"gpu_driver": ["driver.loaded", "persistence.all", "mig.0"]}


def test_a_driver_that_nothing_uses_is_replaced_at_once(system: System) -> None:
    ready(system)
    put_module(system, "open 590.48.01")
    newer = [setting("driver.loaded", "open 590.48.01")]
    assert apply(system, newer).failures == []
    assert read_all(system, {"driver.loaded": ""}) == {"driver.loaded": "open 590.48.01"}


def test_a_driver_that_is_not_installed_is_a_failure_and_no_reboot_mends_it(system: System) -> None:
    none = "no module for the running kernel; are the kernel's headers installed?"
    assert apply(system, [LOADED]).failures == [f"driver.loaded: is none, want open 580.95.05 ({none})"]
    install(system, PACKAGES)
    put_module(system, "open 590.48.01")
    (other,) = apply(system, [LOADED]).failures
    assert other.endswith("at boot: open 590.48.01, want open 580.95.05 (the installed driver is open 590.48.01)")


def test_gpus_are_divided_and_made_whole_again(system: System) -> None:
    ready(system)
    assert apply(system, DIVIDED).failures == []
    wants = {str(s["id"]): str(s["want"]) for s in DIVIDED}
    assert read_all(system, wants) == wants
    assert apply(system, DIVIDED) == ([], [])
    other = [setting("mig.0", "2g.20gb"), setting("mig.1", "7g.80gb")]
    assert apply(system, other).failures == []
    whole = [setting("mig.0", "off"), setting("mig.1", "off")]
    assert [change.had for change in apply(system, whole).changes] == ["2g.20gb", "7g.80gb"]
    assert apply(system, whole) == ([], [])


def test_no_gpu_is_divided_while_something_runs(system: System) -> None:
    ready(system)
    system.hardware("/sys/module/nvidia_uvm/refcnt").write_text("1\n")
    applied = apply(system, DIVIDED[1:])
    assert applied.failures == ["mig.0: is off, want 4g.40gb,3g.40gb (something runs on the GPUs; drain the host)"]


def test_an_option_must_hold_now_and_at_boot(system: System) -> None:
    wanted = [setting("nvreg.NVreg_EnableStreamMemOPs", "1")]
    wants = {"nvreg.NVreg_EnableStreamMemOPs": "1"}
    assert read_all(system, wants) == dict.fromkeys(wants, "absent")
    ready(system)
    put(system, gpu.MODPROBE_FILE, "options nvidia NVreg_EnableStreamMemOPs=1\n")
    values = read_all(system, wants)
    assert values == dict.fromkeys(wants, "0; at boot: 1")
    assert awaiting_reboot(wanted, values) == list(wants)
    params = system.hardware("/proc/driver/nvidia/params")
    assert "unknown" in read_all(system, {"nvreg.NVreg_Nothing": ""})["nvreg.NVreg_Nothing"]
    params.write_text('EnableStreamMemOPs: 1\nRmProfilingAdminOnly: 0\nRegistryDwords: "PeerMappingOverride=1;"\n')
    assert read_all(system, wants) == wants
    profiling = "nvreg.NVreg_RestrictProfilingToAdminUsers"
    assert read_all(system, {profiling: "0"})[profiling] == "0; at boot: unset", "params has another name for it"
    system.file(gpu.MODPROBE_FILE).unlink()
    lost = read_all(system, wants)
    assert lost == dict.fromkeys(wants, "1; at boot: unset")
    assert awaiting_reboot(wanted, lost) == [], "what the next boot loses waits for none"
