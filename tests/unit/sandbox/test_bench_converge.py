"""What scripts/bench/converge writes of a run, and what it sets."""

from fullbore_sandbox.bench.converge import KERNEL, WAYS, kernel_settings, limit_settings, plot, section
from fullbore_sandbox.bench.result import Result

SHOWN = "".join(f"net.ipv4.tcp_made_up_{number:02} = {number}\n" for number in range(KERNEL + 5))
OTHERS = "net.ipv4.tcp_mem = 1 2 3\nnet.ipv4.tcp_congestion_control = cubic\nkernel.hostname = a\nvm.swappiness = 60\n"


def test_settings_are_those_that_a_container_has_for_itself() -> None:
    found = kernel_settings(OTHERS + SHOWN)
    assert len(found) == KERNEL
    assert found["sysctl.net.ipv4.tcp_made_up_07"] == "7"
    assert not {id for id in found if "made_up" not in id}
    assert limit_settings()["limits.user03.-.nofile"] == "1027"


def test_the_table_says_how_many_times_as_quick_the_roles_are() -> None:
    again = dict(zip(WAYS, (40.0, 20.0, 5.0, 4.0, 4.1), strict=True))
    first = {f"{way}_first_s": seconds * 2 for way, seconds in again.items() if way != "provider"}
    figures = {"hosts": 20.0, **first, **{f"{way}_again_s": seconds for way, seconds in again.items()}}
    result = Result(name="converge", machine="two cores", ratios={}, figures=figures)
    text = section(result)
    assert "20 hosts, 30 kernel settings and 10 limits; two cores." in text
    assert "| plain Ansible, as it comes | 42, 41 | 80.0 | 40.0 | 10.0 | at least 10 |" in text
    assert "| the roles, `fullbore:metal:HostGroup` | 14, 1 |  | 4.1 | 1.0 | at most 1.05 |" in text
    assert plot(result).count("<rect ") == 1 + len(WAYS)
