"""The protection map: place and protection of each stored bit, to read the weights without qtaml."""

from collections.abc import Iterator
from dataclasses import dataclass

from qtaml.formats import EntropyLevels, Format
from qtaml.memory.planes import regions
from qtaml.planning import Plan, TensorPlan
from qtaml.protections import Decoder, Protection


@dataclass(frozen=True)
class MappedProtection:
    """A protection and its price: `data_bits` bits are stored together in `cells` cells, read by a kind of decoder."""

    protection: Protection
    data_bits: int
    cells: float
    decoder: Decoder


@dataclass(frozen=True)
class MappedPlane:
    """A bit position (0 the least significant), and the number of its protection."""

    bit: int
    protection: int


@dataclass(frozen=True)
class MappedStream:
    """An entropy-coded section: weights and bytes of a full block, and the share of each label in units of 2**-12."""

    block_weights: int
    block_bytes: int
    counts: tuple[int, ...]


@dataclass(frozen=True)
class MappedFormat:
    """A format: its planes in the order in which they are packed. Its number names its readout table.

    Attributes:
        bits: bits of a word.
        planes: its planes.
        window: words that a weight is read from; above 1 in a trellis.
        weights_per_word: weights that share a word.
        stream: how the stream is read, of entropy-coded weights; None for all others.
    """

    bits: int
    planes: tuple[MappedPlane, ...]
    window: int
    weights_per_word: int
    stream: MappedStream | None


@dataclass(frozen=True)
class MappedRegion:
    """Weights of a tensor that share a format, packed together.

    Attributes:
        format: number of the format.
        weights: number of weights.
        words: number of words; a plane takes a bit for each, filled up to whole bytes.
        offset: first byte of the region in the packed bytes of its tensor.
        runs: where the weights are in the flattened tensor: first and one after the last of each run, in order.
    """

    format: int
    weights: int
    words: int
    offset: int
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class MappedTensor:
    """A stored tensor: a read weight is the readout of its label x the scale of its tensor, row or group x the gain.

    Attributes:
        name: its name in the network, also that of its packed bits and its scale.
        aliases: other names of the same tensor.
        shape: its shape.
        dtype: dtype to which weights are rounded, to the nearest; float16 and bfloat16 by way of float32.
        readout_gain: the gain.
        group: weights along a row that share a scale; None where the tensor or each row has one.
        regions: its weights, format by format.
    """

    name: str
    aliases: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    readout_gain: float
    group: int | None
    regions: tuple[MappedRegion, ...]


@dataclass(frozen=True)
class ProtectionMap:
    """Place and protection of each stored bit.

    Attributes:
        protections: each protection once.
        formats: each format once.
        tensors: the stored tensors.
    """

    protections: tuple[MappedProtection, ...]
    formats: tuple[MappedFormat, ...]
    tensors: tuple[MappedTensor, ...]


def formats_of(plan: Plan) -> dict[Format, int]:
    """The formats of a plan and their numbers, in the order in which they first appear."""
    found = (fmt for tensor in plan.tensors for fmt, _ in tensor.storage.spans_of_formats)
    # dict.fromkeys, not a set, whose order changes from process to process.
    return {fmt: number for number, fmt in enumerate(dict.fromkeys(found))}


def protection_map(plan: Plan) -> ProtectionMap:
    """The protection map of a plan.

    Example:
        >>> import torch
        >>> from qtaml.planning import uniform_msp
        >>> found = protection_map(uniform_msp(torch.nn.Linear(3, 2), p=0.1, protected_bits=1))
        >>> [found.protections[plane.protection].protection.kind for plane in found.formats[0].planes][:3]
        ['ideal', 'raw', 'raw']
        >>> found.tensors[0].regions
        (MappedRegion(format=0, weights=6, words=6, offset=0, runs=((0, 6),)),)
    """
    # Numbered in order of appearance: read_artifact makes the map again and compares it byte for byte.
    formats = formats_of(plan)
    protections = {
        # Most significant bits first, as planes are packed: numbers ascend along the file.
        one: i
        for i, one in enumerate(dict.fromkeys(p for fmt in formats for p in reversed(fmt.protections)))
    }
    return ProtectionMap(
        tuple(MappedProtection(one, *one.block, one.decoder) for one in protections),
        tuple(
            MappedFormat(
                fmt.bits,
                tuple(MappedPlane(bit, protections[fmt.protections[bit]]) for bit in reversed(range(fmt.bits))),
                fmt.levels.window,
                fmt.levels.weights_per_word,
                _mapped_stream(fmt),
            )
            for fmt in formats
        ),
        tuple(
            MappedTensor(
                entry.name,
                entry.aliases,
                entry.shape,
                entry.dtype,
                entry.storage.readout_gain,
                # Otherwise the shape of the scales in their file tells whether they are of a tensor or of rows.
                None if isinstance(entry.storage.granularity, str) else entry.storage.granularity,
                tuple(_mapped_regions(entry, formats)),
            )
            for entry in plan.tensors
        ),
    )


def _mapped_stream(fmt: Format) -> MappedStream | None:
    levels = fmt.levels
    if not isinstance(levels, EntropyLevels):
        return None
    return MappedStream(levels.block_weights, levels.block_bytes, levels.counts)


def _mapped_regions(entry: TensorPlan, formats: dict[Format, int]) -> Iterator[MappedRegion]:
    for region in regions(entry.storage):
        runs = tuple((span.start, span.stop) for span in region.spans)
        yield MappedRegion(formats[region.format], region.weights, region.words, region.offset, runs)
