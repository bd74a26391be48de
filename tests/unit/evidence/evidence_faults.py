"""What is planted into healthy outputs: faults, each with the paths that must fail, and changes that mean nothing.

A mutator takes a random generator of its own and the text. Every seed gives another place or value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

Fault = Callable[[Random, str], tuple[str, str]]
"""-> (text with the fault, pattern of the paths that fail; nothing else may)."""
Harmless = Callable[[Random, str], str]


def _sub(pattern: str, value: str, text: str, count: int = 1) -> str:
    """`re.sub` over lines that must change something, or the fault would not be planted."""
    changed = re.sub(pattern, lambda match: match.expand(value), text, count=count, flags=re.MULTILINE)
    assert changed != text, f"{pattern} is not there, or changes nothing"
    return changed


def _cut(random: Random, text: str, before: str) -> str:
    """Cut anywhere before the last place that must be there."""
    return text[: random.randrange(1, text.rindex(before) + len(before) // 2)]


# nvidia-smi -q


def _in_gpu(random: Random, text: str, pattern: str, value: str) -> tuple[str, int]:
    """Change one GPU's block."""
    head, *blocks = re.split(r"(?m)^(?=GPU 0000)", text)
    index = random.randrange(len(blocks))
    blocks[index] = _sub(pattern, value, blocks[index])
    return head + "".join(blocks), index


def _smi(pattern: str, values: list[str], path: str) -> Fault:
    def fault(random: Random, text: str) -> tuple[str, str]:
        changed, index = _in_gpu(random, text, pattern, rf"\g<1>{random.choice(values)}")
        return changed, rf"gpu-01\.gpu{index}\.{path}$"

    return fault


def _field(key: str) -> str:
    return rf"^( +{re.escape(key)} +: ).*$"


def _numbers(low: int, high: int) -> list[str]:
    return [str(number) for number in range(low, high)]


def _lost_gpu(random: Random, text: str) -> tuple[str, str]:
    head, *blocks = re.split(r"(?m)^(?=GPU 0000)", text)
    blocks.pop(random.randrange(len(blocks)))
    return _sub(r"^(Attached GPUs +: )\d+", rf"\g<1>{len(blocks)}", head) + "".join(blocks), r"gpu-01\.gpus$"


def _block_missing(random: Random, text: str) -> tuple[str, str]:
    head, *blocks = re.split(r"(?m)^(?=GPU 0000)", text)
    blocks.pop(random.randrange(len(blocks)))
    return head + "".join(blocks), r"gpu-01$"


_NEEDED = (
    "Product Name",
    "Driver Version",
    "Attached GPUs",
    "Remapping Failure Occurred",
    "DRAM Uncorrectable",
)


def _field_gone(random: Random, text: str) -> tuple[str, str]:
    key = random.choice(_NEEDED[:4])
    return _sub(rf"^ *{key} +:.*\n", "", text), r"gpu-01$"


def _field_unreadable(random: Random, text: str) -> tuple[str, str]:
    keys = ("DRAM Uncorrectable", "SRAM Uncorrectable Parity", "Uncorrectable Error")
    value = random.choice(["N/A", "ERR!", "Unknown Error", "[GPU requires reset]", ""])
    changed, _ = _in_gpu(random, text, _field(random.choice(keys)), rf"\g<1>{value}")
    return changed, r"gpu-01$"


def _driver(random: Random, text: str) -> tuple[str, str]:
    version = random.choice(["580.159.03", "575.57.08", "580.95.05", "590.44.01"])
    return _sub(r"^(Driver Version +: ).*$", rf"\g<1>{version}", text), r"gpu-01\.gpu_driver$"


def _instead(*texts: str) -> Fault:
    def fault(random: Random, _text: str) -> tuple[str, str]:
        return random.choice(texts), r"[\w-]+(\.[^.]+)?$"

    return fault


_NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)

SMI_FAULTS: dict[str, Fault] = {
    "width": _smi(r"(Link Width\n.*\n +Current +: )16x", ["1x", "2x", "4x", "8x"], "pcie_width"),
    "generation": _smi(r"(PCIe Generation\n.*\n +Current +: )5", _numbers(1, 5), "pcie_generation"),
    "ecc-off": _smi(r"(ECC Mode\n +Current +: )Enabled", ["Disabled", "N/A"], "ecc"),
    "sram": _smi(r"(Volatile\n(?:.*\n){1,2} +SRAM Uncorrectable \S+ +: )0", _numbers(1, 90), "uncorrectable"),
    "dram": _smi(r"(Volatile\n(?:.*\n){4} +DRAM Uncorrectable +: )0", _numbers(1, 90), "uncorrectable"),
    "sram-threshold": _smi(_field("SRAM Threshold Exceeded"), ["Yes"], "repair"),
    "channel-repair": _smi(_field("Channel Repair Pending"), ["Yes"], "repair"),
    "tpc-repair": _smi(_field("TPC Repair Pending"), ["Yes"], "repair"),
    "unrepairable": _smi(_field("Unrepairable Memory"), ["Yes"], "repair"),
    "remap-pending": _smi(r"(Remapped Rows\n(?:.*\n){4} +Pending +: )No", ["Yes"], "remap"),
    "remap-failed": _smi(_field("Remapping Failure Occurred"), ["Yes"], "remap_failure"),
    "remapped": _smi(_field("Uncorrectable Error"), _numbers(513, 1500), "remapped"),
    "recovery": _smi(_field("GPU Recovery Action"), ["Reset", "Reboot", "Drain P2P", "Drain and Reset"], "recovery"),
    "fabric": _smi(r"(Fabric\n +State +: )Completed", ["In Progress", "Not Started", "N/A"], "fabric"),
    "fabric-status": _smi(
        r"(Fabric\n.*\n +Status +: )Success", ["Unknown Error", "N/A", "In use by another client"], "fabric"
    ),
    "product": _smi(_field("Product Name"), ["NVIDIA H100 80GB HBM3", "NVIDIA H20", "NVIDIA H200 NVL"], "product"),
    "driver": _driver,
    "lost": _lost_gpu,
    "block-missing": _block_missing,
    "field-gone": _field_gone,
    "field-unreadable": _field_unreadable,
    "truncated": lambda random, text: (_cut(random, text, "Remapping Failure Occurred"), r"gpu-01$"),
    "no-driver": _instead(_NO_DRIVER, "", "nvidia-smi: command not found\n", "No devices were found\n"),
}

# nvidia-smi nvlink -s


def _link(random: Random, text: str, value: str) -> tuple[str, str]:
    head, *blocks = re.split(r"(?m)^(?=GPU \d)", text)
    gpu, link = random.randrange(len(blocks)), random.randrange(18)
    blocks[gpu] = _sub(rf"^(\s+Link {link}: ).*$", value, blocks[gpu])
    return head + "".join(blocks), rf"gpu-01\.gpu{gpu}\.nvlink({link})?$"


NVLINK_FAULTS: dict[str, Fault] = {
    "inactive": lambda random, text: _link(random, text, r"\g<1><inactive>"),
    "slow": lambda random, text: _link(random, text, rf"\g<1>{random.choice(['12.5', '19.688', '6.25', '0'])} GB/s"),
    "missing": lambda random, text: _link(random, text, ""),
    "gpu-missing": lambda random, text: (
        "".join(re.split(r"(?m)^(?=GPU \d)", text)[:2]),
        r"gpu-01\.gpu1\.nvlink$",
    ),
    "truncated": lambda random, text: (_cut(random, text, "Link 17: 26.562 GB/s"), r"gpu-01(\.gpu[01]\.nvlink)?$"),
    "no-driver": _instead(_NO_DRIVER, "", "Not Supported\n"),
}

# dcgmi diag -j


def _dcgm(change: Callable[[Random, dict[str, Any]], None]) -> Fault:
    """Change one result of a test that must pass."""

    def fault(random: Random, text: str) -> tuple[str, str]:
        content: dict[str, Any] = json.loads(text)
        categories = next(iter(content.values()))["test_categories"]
        tests = [(c["category"], t) for c in categories for t in c["tests"] if t["name"] != "EUD Test"]
        category, test = random.choice(tests)
        result = random.choice(test["results"])
        change(random, {"test": test, "result": result})
        gpu = result.get("entity_id", 0)
        name = "software" if category == "Deployment" else test["name"].lower().replace(" ", "_").removeprefix("gpu_")
        return json.dumps(content), rf"gpu-01\.gpu{gpu}\.(dcgm\.{name}|\w+_to_\w+)$"

    return fault


def _status(*values: str) -> Callable[[Random, dict[str, Any]], None]:
    def change(random: Random, found: dict[str, Any]) -> None:
        found["result"]["status"] = random.choice(values)
        found["result"]["warnings"] = [{"error_id": 12, "error_severity": 2, "warning": "a fault was planted"}]

    return change


def _no_result(random: Random, found: dict[str, Any]) -> None:
    if "entity_id" in found["result"]:
        found["test"]["results"].remove(found["result"])
    else:
        found["result"]["status"] = "Skip"


def _slow_host(random: Random, text: str) -> tuple[str, str]:
    content: dict[str, Any] = json.loads(text)
    results = next(
        t["results"] for c in content["DCGM Diagnostic"]["test_categories"] for t in c["tests"] if t["name"] == "pcie"
    )
    result, way = random.choice(results), random.choice(["GPU to Host", "Host to GPU"])
    rate = f"{way} bandwidth:\t\t{random.uniform(5, 51.9):.2f} GB/s"
    result["info"] = [rate if line.startswith(way) and "bandwidth" in line else line for line in result["info"]]
    return json.dumps(content), rf"gpu-01\.gpu{result['entity_id']}\.{way.lower().replace(' ', '_')}$"


def _gpu_unnamed(random: Random, text: str) -> tuple[str, str]:
    """A GPU that no test names: the diagnostic ran without it."""
    content: dict[str, Any] = json.loads(text)
    gpu = random.randrange(4)
    for category in content["DCGM Diagnostic"]["test_categories"]:
        for test in category["tests"]:
            test["results"] = [result for result in test["results"] if result["entity_id"] != gpu]
    return json.dumps(content), rf"gpu-01\.gpu{gpu}\."


DCGM_FAULTS: dict[str, Fault] = {
    "failed": _dcgm(_status("Fail")),
    "warned": _dcgm(_status("Warn", "Not Run", "Error")),
    "skipped": _dcgm(_status("Skip")),
    "no-result": _dcgm(_no_result),
    "truncated": lambda random, text: (text[: random.randrange(len(text.rstrip()) - 1)], r"gpu-01$"),
    "not-run": _instead("", "Error: unable to establish a connection to the specified host: localhost\n", "{}", "[]"),
}
DCGM4_FAULTS: dict[str, Fault] = {**DCGM_FAULTS, "slow-host": _slow_host, "gpu-unnamed": _gpu_unnamed}

# nccl-tests

_RATES = r"^(\s*\d{10,}\s.*?-1\s+\S+\s+\S+\s+)(\S+)(\s+\S+\s+\S+\s+\S+\s+)(\S+)(\s+\S+)$"


def _scaled(text: str, share: float) -> str:
    def scale(match: re.Match[str]) -> str:
        rates = f"{float(match[2]) * share:.2f}", f"{float(match[4]) * share:.2f}"
        return f"{match[1]}{rates[0]}{match[3]}{rates[1]}{match[5]}"

    changed = re.sub(_RATES, scale, text, flags=re.MULTILINE)
    assert changed != text
    return changed


def _wrong_value(random: Random, text: str) -> tuple[str, str]:
    rows = [line for line in text.splitlines() if re.match(r"^\s*\d{9,}\s", line)]
    row = random.choice(rows)
    changed = re.sub(r"(\s)0(\s+\S+\s+\S+\s+\S+\s+\S+)$", rf"\g<1>{random.randrange(1, 99)}\g<2>", row)
    assert changed != row
    return text.replace(row, changed), r"rack\.\w+\.wrong$"


def _fewer_ranks(random: Random, text: str) -> tuple[str, str]:
    count = max(int(rank) for rank in re.findall(r"#  Rank +(\d+)", text)) + 1
    gone = random.randrange(1, count // 2)
    for rank in range(count - gone, count):
        text = re.sub(rf"(?m)^#  Rank +{rank} .*\n", "", text)
    return text, r"rack\.\w+\.ranks$"


def _slow(low: float, high: float) -> Fault:
    def fault(random: Random, text: str) -> tuple[str, str]:
        return _scaled(text, random.uniform(low, high)), r"rack\.\w+\.busbw$"

    return fault


def _no_rate(random: Random, text: str) -> tuple[str, str]:
    value = random.choice(["nan", "-nan", "inf", "0.00", "-1.00", "N/A"])
    rows = [line for line in text.splitlines() if re.match(_RATES, line)]
    row = random.choice(rows)
    return text.replace(row, re.sub(_RATES, rf"\g<1>{value}\g<3>\g<4>\g<5>", row)), r"rack$"


def _other_run(random: Random, text: str) -> tuple[str, str]:
    other = random.choice(["all_gather_perf", "broadcast_perf", "sendrecv_perf"])
    return f"# Collective test starting: {other}\n" + re.sub(r"(?m)^# Collective test .*\n", "", text), r"rack$"


NCCL_FAULTS: dict[str, Fault] = {
    "wrong": _wrong_value,
    "out-of-bounds": lambda random, text: (
        _sub(r"^(# Out of bounds values : )0 OK", rf"\g<1>{random.randrange(1, 9)} FAILED", text),
        r"rack\.\w+\.wrong$",
    ),
    "fewer-ranks": _fewer_ranks,
    "no-rate": _no_rate,
    "other-run": _other_run,
    "small-only": lambda random, text: (_sub(r"^\s*\d{10,} .*\n", "", text, count=0), r"rack$"),
    "truncated": lambda random, text: (_cut(random, text, "# Out of bounds values : 0 OK"), r"rack$"),
    "crashed": lambda random, text: (
        text[: text.index("float")] + "node0: Test CUDA failure common.cu:389 'an illegal memory access'\n",
        r"rack$",
    ),
    "not-run": _instead("", "mpirun was unable to launch the specified application\n"),
}

# perftest


def _result(random: Random, text: str, value: Callable[[str], str], column: int) -> str:
    row = next(line for line in text.splitlines() if re.match(r"^ \d+ +\d+ ", line))
    cells = row.split()
    cells[column] = value(cells[column])
    return text.replace(row, " " + "   ".join(cells))


def _worse(low: float, high: float, column: int) -> Fault:
    def fault(random: Random, text: str) -> tuple[str, str]:
        share = random.uniform(low, high)
        return _result(random, text, lambda cell: f"{float(cell) * share:.2f}", column), r"rack\.gpu-01:\S+ to gpu-02:"

    return fault


def _no_result_row(*values: str, column: int) -> Fault:
    def fault(random: Random, text: str) -> tuple[str, str]:
        return _result(random, text, lambda _: random.choice(values), column), r"rack\.gpu-01:\S+ to gpu-02:"

    return fault


_PAIR_PATH = r"rack\.gpu-01:\S+ to gpu-02:"


def perftest_faults(column: int, worse: Fault, needed: str) -> dict[str, Fault]:
    return {
        "worse": worse,
        "no-value": _no_result_row("0.00", "-3.10", "nan", "inf", "-nan", column=column),
        "cell-missing": _no_result_row("", column=column),
        "other-device": lambda random, text: (
            _sub(r"(Device +: )\S+", rf"\g<1>mlx5_{random.randrange(6, 18)}", text),
            _PAIR_PATH,
        ),
        "other-test": lambda random, text: (
            _sub(r"RDMA_Write", random.choice(["RDMA_Read", "Send", "RDMA_Write Bidirectional"]), text),
            _PAIR_PATH,
        ),
        "truncated": lambda random, text: (_cut(random, text, needed), _PAIR_PATH),
        "not-run": _instead_pair("", "Couldn't connect to gpu-02:18515\n", " Unable to init the socket connection\n"),
    }


def _instead_pair(*texts: str) -> Fault:
    return lambda random, _text: (random.choice(texts), _PAIR_PATH)


BANDWIDTH_FAULTS = {
    **perftest_faults(3, _worse(0.1, 0.979, 3), "98.01              98.01"),
    "small-messages": lambda random, text: (_sub(r"^ 65536 ", f" {2 ** random.randrange(1, 16)} ", text), _PAIR_PATH),
}
LATENCY_FAULTS = perftest_faults(5, _worse(3.5, 60, 5), "1.93         1.47                1.47")

# iblinkinfo and ibnetdiscover -p: the ends that a host's lines name

Ends = tuple[str, str]


def _swap(text: str, one: str, other: str) -> str:
    """Exchange what two host lines have at their far ends. The switches' own lines are of no interest to the judge."""
    return text.replace(one, "\0").replace(other, one).replace("\0", other)


_CA_LINKS = re.compile(r"(?m)^CA: (gpu-\d+) (mlx5_\d+):\n(.*?)(==>.*)$")
_CA_PORTS = re.compile(r"(?m)^CA (.*?)- SW +\d+ +(\d+) (0x\S+) \( '(gpu-\d+) (mlx5_\d+)' - '(leaf-\d)' \)$")


def _swapped_links(random: Random, text: str) -> tuple[str, str]:
    one, other = random.sample(list(_CA_LINKS.finditer(text)), 2)
    first, second = one[0].replace(one[4], other[4]), other[0].replace(other[4], one[4])
    changed = text.replace(one[0], first).replace(other[0], second)
    return changed, rf"rack\.({one[1]}\.{one[2]}|{other[1]}\.{other[2]})$"


def _moved_link(random: Random, text: str) -> tuple[str, str]:
    one = random.choice(list(_CA_LINKS.finditer(text)))
    leaf, port = random.choice(["leaf-7", "leaf-8"]), random.randrange(20, 36)
    far = re.sub(r"(==> +\d+ +)\d+(\[.*?\] )\".*?\"", rf'\g<1>{port}\g<2>"{leaf}"', one[4])
    assert far != one[4]
    return text.replace(one[0], one[0].replace(one[4], far)), rf"rack\.{one[1]}\.{one[2]}$"


def _near(pattern: str, values: list[str], path: str) -> Fault:
    """Change the near end of one host's line."""

    def fault(random: Random, text: str) -> tuple[str, str]:
        one = random.choice(list(_CA_LINKS.finditer(text)))
        changed = _sub(pattern, random.choice(values), one[0])
        return text.replace(one[0], changed), rf"rack\.{one[1]}\.{one[2]}{path}$"

    return fault


def _host_gone(random: Random, text: str) -> tuple[str, str]:
    one = random.choice(list(_CA_LINKS.finditer(text)))
    return text.replace(one[0], ""), rf"rack\.{one[1]}\.{one[2]}$"


LINKINFO_FAULTS: dict[str, Fault] = {
    "swapped": _swapped_links,
    "moved": _moved_link,
    "down": _near(r"==\(.*", ['==(                Down/ Polling)==>             [  ] "" ( )'], ""),
    "polling": _near(r"==\(.*", ['==(                Down/Disabled)==>             [  ] "" ( )'], ""),
    "slow": _near(r"4X +\S+ Gbps", ["4X 14.0625 Gbps", "4X 10.0 Gbps", "4X 2.5 Gbps"], r"\.rate"),
    "lanes": _near(r"4X ", ["1X ", "2X "], r"\.rate"),
    "init": _near(r"Active/", ["  Init/"], ""),
    "host-gone": _host_gone,
    "not-run": _instead("", "ibwarn: [12] mad_rpc_open_port: can't open UMAD port ((null):0)\n"),
}


def _swapped_ports(random: Random, text: str) -> tuple[str, str]:
    one, other = random.sample(list(_CA_PORTS.finditer(text)), 2)

    def at(own: re.Match[str], far: re.Match[str]) -> str:
        line = re.sub(rf"(- SW +\d+ +){own[2]} {own[3]}", rf"\g<1>{far[2]} {far[3]}", own[0])
        return line.replace(f"'{own[6]}'", f"'{far[6]}'")

    changed = text.replace(one[0], at(one, other)).replace(other[0], at(other, one))
    return changed, rf"rack\.({one[4]}\.{one[5]}|{other[4]}\.{other[5]})$"


def _near_port(pattern: str, values: list[str], path: str) -> Fault:
    def fault(random: Random, text: str) -> tuple[str, str]:
        one = random.choice(list(_CA_PORTS.finditer(text)))
        return text.replace(one[0], _sub(pattern, random.choice(values), one[0])), rf"rack\.{one[4]}\.{one[5]}{path}$"

    return fault


PORTS_FAULTS: dict[str, Fault] = {
    "swapped": _swapped_ports,
    "down": _near_port(r"- SW .*'(gpu-\d+ mlx5_\d+)' - .*$", [r"                                   '\g<1>'"], ""),
    "slow": _near_port(r"4x \S+", ["4x FDR", "4x QDR", "4x SDR", "4x ???"], r"\.rate"),
    "lanes": _near_port(r"4x ", ["1x ", "2x "], r"\.rate"),
    "gone": _near_port(r"^CA.*$", [""], ""),
    "broken-line": lambda random, text: (
        _sub(r"^(CA .*) - 'leaf.*$", r"\g<1>", text),
        r"rack(\.gpu-\d+\.mlx5_\d+)?$",
    ),
    "not-run": _instead("", "ibnetdiscover: iberror: failed: discover failed\n"),
}

# lldpcli -f json0


def _lldp(change: Callable[[Random, list[dict[str, Any]]], str]) -> Fault:
    """Change the interfaces of one host; `change` says which of them are wrong then."""

    def fault(random: Random, text: str) -> tuple[str, str]:
        content: dict[str, Any] = json.loads(text)
        ports = change(random, content["lldp"][0]["interface"])
        return json.dumps(content), rf"rack\.gpu-02\.({ports})$"

    return fault


def _swapped_interfaces(random: Random, interfaces: list[dict[str, Any]]) -> str:
    one, other = random.sample(interfaces, 2)
    for key in ("chassis", "port"):
        one[key], other[key] = other[key], one[key]
    return f"{one['name']}|{other['name']}"


def _other_peer(random: Random, interfaces: list[dict[str, Any]]) -> str:
    one = random.choice(interfaces)
    key, value = random.choice([("chassis", {"name": [{"value": "leaf-9"}]}), ("port", {"descr": [{"value": "31"}]})])
    one[key][0].update(value)
    return str(one["name"])


def _deaf(random: Random, interfaces: list[dict[str, Any]]) -> str:
    gone = random.choice(interfaces)
    interfaces.remove(gone)
    return str(gone["name"])


LLDP_FAULTS: dict[str, Fault] = {
    "swapped": _lldp(_swapped_interfaces),
    "other-peer": _lldp(_other_peer),
    "deaf": _lldp(_deaf),
    "all-deaf": lambda random, text: (json.dumps({"lldp": [{}]}), r"rack\.gpu-02\.mlx5_\d$"),
    "truncated": lambda random, text: (text[: random.randrange(len(text.rstrip()) - 1)], r"rack\.gpu-02(\.mlx5_\d)?$"),
    "not-run": lambda random, text: (random.choice(["", "{}", "[]"]), r"rack\.gpu-02(\.mlx5_\d)?$"),
}

# chronyc tracking

CLOCK_FAULTS: dict[str, Fault] = {
    "offset": lambda random, text: (
        _sub(r"^(System time +: )\S+", rf"\g<1>{random.uniform(0.051, 900):.9f}", text),
        r"gpu-01\.clock\.error$",
    ),
    "dispersion": lambda random, text: (
        _sub(r"^(Root dispersion : )\S+", rf"\g<1>{random.uniform(0.051, 20):.9f}", text),
        r"gpu-01\.clock\.error$",
    ),
    "delay": lambda random, text: (
        _sub(r"^(Root delay +: )\S+", rf"\g<1>{random.uniform(0.11, 3):.9f}", text),
        r"gpu-01\.clock\.error$",
    ),
    "unsynchronised": lambda random, text: (
        _sub(r"^(Leap status +: ).*$", r"\g<1>Not synchronised", text),
        r"gpu-01\.clock$",
    ),
    "field-gone": lambda random, text: (
        _sub(rf"^{random.choice(['System time', 'Root delay', 'Leap status'])} .*\n", "", text),
        r"gpu-01$",
    ),
    "truncated": lambda random, text: (_cut(random, text, "Leap status     : Normal"), r"gpu-01(\.clock)?$"),
    "not-run": _instead("", "506 Cannot talk to daemon\n"),
}

# fio


def _read(random: Random, text: str, change: Callable[[dict[str, Any]], object]) -> str:
    start = re.search(r"(?m)^\{", text)
    assert start
    content: dict[str, Any] = json.loads(text[start.start() :])
    change(content)
    return text[: start.start()] + json.dumps(content, indent=1)


FIO_FAULTS: dict[str, Fault] = {
    "slow": lambda random, text: (
        _read(random, text, lambda c: c["jobs"][0]["read"].update(iops=random.uniform(10, 499_999))),
        r"gpu-01\.nvme0n1$",
    ),
    "error": lambda random, text: (
        _read(random, text, lambda c: c["jobs"][0].update(error=random.choice([5, 61, 84, 121]))),
        r"gpu-01\.nvme0n1\.error$",
    ),
    "no-jobs": lambda random, text: (_read(random, text, lambda c: c["jobs"].clear()), r"gpu-01$"),
    "no-reads": lambda random, text: (_read(random, text, lambda c: c["jobs"][0].pop("read")), r"gpu-01$"),
    "truncated": lambda random, text: (text[: random.randrange(len(text.rstrip()) - 1)], r"gpu-01$"),
    "not-run": _instead("", "fio: engine libaio not loadable\nfio: failed to load engine\n"),
}

FAULTS: dict[str, dict[str, Fault]] = {
    "smi": SMI_FAULTS,
    "nvlink": NVLINK_FAULTS,
    "dcgm": DCGM4_FAULTS,
    "dcgm3": DCGM_FAULTS,
    "all_reduce": {**NCCL_FAULTS, "slow": _slow(0.05, 0.99)},
    "all_reduce-64": {**NCCL_FAULTS, "slow": _slow(0.05, 0.79)},
    "alltoall": {**NCCL_FAULTS, "slow": _slow(0.05, 0.78)},
    "bandwidth": BANDWIDTH_FAULTS,
    "latency": LATENCY_FAULTS,
    "linkinfo": LINKINFO_FAULTS,
    "ports": PORTS_FAULTS,
    "lldp": LLDP_FAULTS,
    "clock": CLOCK_FAULTS,
    "fio": FIO_FAULTS,
}

# What means nothing


def _lines_before(*lines: str) -> Harmless:
    return lambda random, text: "\n".join(random.sample(lines, random.randrange(1, len(lines) + 1))) + "\n" + text


def _crlf(_random: Random, text: str) -> str:
    return text.replace("\n", "\r\n")


def _trailing(random: Random, text: str) -> str:
    return re.sub(r"\n", lambda _: " " * random.randrange(3) + "\n", text)


def _any_number(key: str, low: float, high: float, unit: str) -> Harmless:
    def change(random: Random, text: str) -> str:
        pattern = rf"^( +{re.escape(key)} +: )\S+ ?{re.escape(unit)}$"
        return re.sub(pattern, lambda m: f"{m[1]}{random.uniform(low, high):.2f} {unit}".rstrip(), text, flags=re.M)

    return change


def _correctable(random: Random, text: str) -> str:
    """Corrected errors, replays and a few remapped rows are part of a GPU's life."""
    for key in ("SRAM Correctable", "DRAM Correctable", "Replays Since Reset", "Correctable Error"):
        text = re.sub(rf"(?m)^( +{key} +: )\d+$", rf"\g<1>{random.randrange(500)}", text)
    return re.sub(r"(?m)^( +Uncorrectable Error +: )\d+$", rf"\g<1>{random.randrange(513)}", text)


def _new_fields(random: Random, text: str) -> str:
    """A newer driver prints more."""
    word = random.choice(["Pending", "Current", "Status", "Uncorrectable"])
    return re.sub(r"(?m)^(    Fan Speed .*)$", rf"\g<1>\n    Something New\n        {word} : Yes", text)


def _old_ampere(_random: Random, text: str) -> str:
    """Drivers before 550 know one kind of uncorrectable SRAM error, and neither repairs nor a recovery action."""
    text = re.sub(r"(?m)^ +SRAM Uncorrectable SEC-DED .*\n", "", text)
    text = re.sub(r"(SRAM Uncorrectable) Parity ", r"\1        ", text)
    gone = ("GPU Recovery Action", "Channel Repair", "TPC Repair", "Unrepairable Memory", "SRAM Threshold")
    return re.sub(rf"(?m)^ +({'|'.join(gone)}).*\n", "", text)


def _shuffled_tests(random: Random, text: str) -> str:
    content: dict[str, Any] = json.loads(text)
    categories = next(iter(content.values()))["test_categories"]
    random.shuffle(categories)
    for category in categories:
        random.shuffle(category["tests"])
    extra = {"name": "eud", "results": [{"entity_group": "GPU", "entity_id": 0, "status": "Skip"}]}
    next(category for category in categories if category["category"] == "Hardware")["tests"].append(extra)
    return json.dumps(content, indent=random.choice([None, 1, "\t"]))


def _shuffled_interfaces(random: Random, text: str) -> str:
    content: dict[str, Any] = json.loads(text)
    random.shuffle(content["lldp"][0]["interface"])
    return json.dumps(content, indent=random.choice([None, 2]))


def _more_interfaces(random: Random, text: str) -> str:
    """A port of the management network hears its own switch."""
    content: dict[str, Any] = json.loads(text)
    interfaces = content["lldp"][0]["interface"]
    interfaces.insert(random.randrange(5), {**interfaces[0], "name": "eno1"})
    return json.dumps(content)


def _faster(low: float, high: float) -> Harmless:
    return lambda random, text: _scaled(text, random.uniform(low, high))


def _shuffled_blocks(pattern: str) -> Harmless:
    def change(random: Random, text: str) -> str:
        parts = re.split(pattern, text)
        random.shuffle(parts)
        return "".join(parts)

    return change


_MPI = (
    "Warning: Permanently added 'gpu-02' (ED25519) to the list of known hosts.",
    "gpu-01:4000:4000 [0] NCCL INFO Bootstrap: Using eth0:198.51.100.11<0>",
    "--------------------------------------------------------------------------",
    "[gpu-01:12807] 15 more processes have sent help message help-mca-var.txt / mutually-exclusive-vars",
)
_PERF = (
    "************************************",
    "* Waiting for client to connect... *",
    " WARNING: BW peak won't be measured",
)

HARMLESS: dict[str, dict[str, Harmless]] = {
    "smi": {
        "correctable": _correctable,
        "power": _any_number("Instantaneous Power Draw", 60, 700, "W"),
        "crlf": _crlf,
        "trailing": _trailing,
        "new-fields": _new_fields,
        "old-driver": _old_ampere,
    },
    "nvlink": {
        "crlf": _crlf,
        "order": _shuffled_blocks(r"(?m)^(?=GPU \d)"),
        "faster": lambda random, text: text.replace("26.562", random.choice(["25", "25.781", "53.125"])),
    },
    "dcgm": {"shuffled": _shuffled_tests, "before": _lines_before("Successfully ran diagnostic for group.")},
    "dcgm3": {"shuffled": _shuffled_tests},
    "all_reduce": {"noise": _lines_before(*_MPI), "faster": _faster(1.0, 1.25), "crlf": _crlf},
    "all_reduce-64": {"noise": _lines_before(*_MPI), "rate": _faster(0.81, 1.2)},
    "alltoall": {"noise": _lines_before(*_MPI), "rate": _faster(0.8, 1.3), "trailing": _trailing},
    "bandwidth": {
        "noise": _lines_before(*_PERF),
        "faster": lambda random, text: _worse(0.98, 1.015, 3)(random, text)[0],
        "mib": lambda random, text: _result(random, text, lambda _: f"{random.uniform(11450, 11700):.2f}", 3).replace(
            "Gb/sec", "MB/sec"
        ),
    },
    "latency": {"noise": _lines_before(*_PERF), "rate": lambda random, text: _worse(0.7, 3.4, 5)(random, text)[0]},
    "linkinfo": {"order": _shuffled_blocks(r"(?m)^(?=CA: )"), "trailing": _trailing},
    "ports": {"order": _shuffled_blocks(r"(?m)^"), "trailing": _trailing},
    "lldp": {"order": _shuffled_interfaces, "also": _more_interfaces},
    "clock": {
        "offset": lambda random, text: _sub(r"^(System time +: )\S+", rf"\g<1>{random.uniform(0, 0.049):.9f}", text),
        "slow": lambda random, text: text.replace(" fast of", random.choice([" slow of", " fast of"])),
        "leap-second": lambda random, text: text.replace(": Normal", random.choice([": Insert second", ": Normal"])),
    },
    "fio": {
        "banner": _lines_before("Test: (g=0): rw=randread", "fio-3.33", "Starting 1 process"),
        "faster": lambda random, text: _read(
            random, text, lambda c: c["jobs"][0]["read"].update(iops=random.uniform(500_000, 2e6))
        ),
    },
}
