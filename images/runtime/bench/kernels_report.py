"""Prints a kernel table as Markdown, and draws it: python images/runtime/bench/kernels_report.py TABLE [--svg FILE]

The drawing needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fullbore_runtime.kernels.table import Row, Table, load

SHOWN = (1, 8, 64, 1024, 8192)
NAMES = ("fullbore", "compile", "vllm_c", "liger", "cublas", "cutlass", "marlin", "machete", "eager")


def markdown(table: Table, shares: dict, launched: dict) -> Iterable[str]:
    """A table for each operator: microseconds by candidate, the share of the copy rate, and who won."""
    for op in dict.fromkeys(row.op for row in table.rows):
        rows = [row for row in table.rows if row.op == op and (row.batch in SHOWN or op.startswith("linear"))]
        names = [name for name in NAMES if any(name in row.us for row in rows)]
        yield f"\n### `{op}`\n"
        yield f"| shape | batch | {' | '.join(names)} | share | with launch | used |"
        yield "| " + " | ".join(["---"] * (len(names) + 5)) + " |"
        for row in rows:
            yield line(row, names, shares, launched)


def line(row: Row, names: list[str], shares: dict, launched: dict) -> str:
    key = (row.op, row.shape, row.batch)
    times = " | ".join(f"{row.us[name]:.1f}" if name in row.us else "" for name in names)
    share = f"{shares[key]['fullbore']:.0%}" if "fullbore" in row.us else ""
    with_launch = f"{launched[key]['fullbore']:.0f}" if "fullbore" in row.us else ""
    verdict = "won" if row.won else "tie" if row.tied else "lost" if "fullbore" in row.us else "none"
    shape = " x ".join(str(size) for size in row.shape)
    return f"| {shape} | {row.batch} | {times} | {share} | {with_launch} | {verdict} |"


def draw(table: Table, shares: dict, path: Path) -> None:
    """One panel for each operator at its middle shape: share of the copy rate over batch, by candidate."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "kernels"
    from matplotlib import pyplot

    shown = (("add_rms_norm", (4096,)), ("rms_norm_quantise_float8_e4m3fn", (4096,)), ("silu_mul", (12288,)),
             ("rope_and_write", (32, 8, 128)), ("linear", (24576, 4096)), ("linear_int4", (4096, 4096)))  # fmt: skip
    figure, panels = pyplot.subplots(2, 3, figsize=(12, 6.4), sharey=True)
    for panel, (op, shape) in zip(panels.flat, shown, strict=True):
        rows = [row for row in table.rows if (row.op, row.shape) == (op, shape)]
        for name in NAMES:
            points = [(row.batch, shares[op, shape, row.batch][name]) for row in rows if name in row.us]
            if points:
                panel.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name,
                           linewidth=2.2 if name == "fullbore" else 1)  # fmt: skip
        panel.set_xscale("log", base=2)
        panel.set_title(f"{op} {'x'.join(str(size) for size in shape)}", fontsize=9)
        panel.axhline(1, color="grey", linewidth=0.5)
        panel.set_xlabel("tokens")
        panel.legend(fontsize=7)
    for panel in panels[:, 0]:
        panel.set_ylabel("share of the copy rate")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--svg", type=Path)
    arguments = parser.parse_args()
    table = load(arguments.table)
    raw = json.loads(arguments.table.read_text(encoding="utf-8"))["rows"]
    shares = {(row["op"], tuple(row["shape"]), row["batch"]): row["share"] for row in raw}
    launched = {(row["op"], tuple(row["shape"]), row["batch"]): row["launched_us"] for row in raw}
    print("\n".join(markdown(table, shares, launched)))
    if arguments.svg:
        draw(table, shares, arguments.svg)


if __name__ == "__main__":
    main()
