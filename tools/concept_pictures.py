"""The pictures of docs/concepts.md, from the package's own numbers: `python -m tools.concept_pictures`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import qtaml
from qtaml.formats import EvenLevels
from qtaml.networks import trained
from qtaml.theory import ErrorLaw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = Path(__file__).parent.parent / "docs" / "images"
P = 0.10
_BLUE, _RED, _GREY = "#0b6e99", "#d1495b", "#6c757d"
_STORED = 200


def law(axes: "Axes") -> None:
    """What is read of one stored word, with no, one and two protected top bits."""
    levels = EvenLevels(8)
    value = levels.values()[_STORED]
    for height, (protected, color) in enumerate(((0, _RED), (1, _BLUE), (2, _GREY))):
        errors, chances = ErrorLaw(levels, P, protected=protected).pmf(_STORED)
        read = value + errors * 2 / 255
        axes.vlines(read, height, height + 0.85 * np.sqrt(chances / chances.max()), color=color, linewidth=1)
        mean = float(chances @ read)
        axes.plot([mean], [height - 0.08], marker="^", color=color)
        axes.text(-1, height + 0.55, f"{protected} of 8 bits protected", color=color)
    axes.axvline(value, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlabel("value read of a weight stored as the dashed line (triangles: its mean)")
    axes.set_yticks([])


def bits(axes: "Axes") -> None:
    """How much of the squared error of a weight each bit makes."""
    places = np.arange(8)
    shares = 4.0**places / (4.0**places).sum()
    axes.bar(places, shares, color=_BLUE)
    for place, share in zip(places, shares, strict=True):
        axes.text(float(place), share + 0.01, f"{100 * share:.2g}%", ha="center")
    axes.set_xlabel("bit of the word (7 is the most significant)")
    axes.set_ylabel("share of the squared error")


def tensors(axes: "Axes") -> None:
    """Where the output error comes from, tensor by tensor, and what a plan protects."""
    model, data = trained("SmallCNN")
    plan = qtaml.compensate(model, data.calibration, p=P, overhead=0.0, beyond_first_order=False)
    entries = plan.tensors
    errors = np.array([entry.predicted_error or 0.0 for entry in entries])
    sizes = np.array([float(np.prod(entry.shape)) for entry in entries])
    places = np.arange(len(entries))
    axes.barh(places + 0.2, errors / errors.sum(), 0.4, color=_RED, label="of the output error")
    axes.barh(places - 0.2, sizes / sizes.sum(), 0.4, color=_GREY, label="of the weights")
    axes.set_yticks(places, [entry.name for entry in entries])
    axes.set_xlabel("share of the network")
    axes.legend()


def trellis(axes: "Axes") -> None:
    """A window of three bits that slides over a stream of one bit a weight."""
    stream = "0110100"
    for place, bit in enumerate(stream):
        axes.text(place, 2, bit, ha="center", va="center", fontsize=14, family="monospace")
    for weight, color in enumerate((_BLUE, _RED, _GREY)):
        height = 1.2 - 0.55 * weight
        axes.plot([weight + 1 - 0.35, weight + 3 + 0.35], [height, height], color=color, linewidth=6, alpha=0.6)
        window = stream[weight + 1 : weight + 4]
        axes.text(weight + 3.6, height, f"weight {weight + 1} = T[{window}]", va="center", color=color)
    axes.text(-0.4, 2.6, "stored bits, one for each weight; each window of three names an entry of a table T")
    axes.set(xlim=(-0.6, 8.5), ylim=(-0.2, 3))
    axes.axis("off")


PICTURES: dict[str, tuple[Callable[["Axes"], None], tuple[float, float]]] = {
    "law": (law, (7, 3)),
    "bits": (bits, (7, 2.6)),
    "tensors": (tensors, (7, 2.6)),
    "trellis": (trellis, (7, 2.2)),
}


def main() -> None:
    """Draw all of them, the same bytes each time."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    for name, (draw, size) in PICTURES.items():
        with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}):
            figure = Figure(figsize=size, layout="constrained")
            axes = figure.add_subplot()
            draw(axes)
            axes.spines[["top", "right"]].set_visible(False)
            figure.savefig(FOLDER / f"concept_{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
