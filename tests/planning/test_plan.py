"""Plans as records: cells, tables, JSON."""

import json
from dataclasses import replace

import pytest

import qtaml
from tests.cases import CONVOLUTION, TRANSFORMER


def plan():
    """A plan of TAC."""
    return qtaml.compensate(CONVOLUTION.model(), CONVOLUTION.batch(), p=0.1, overhead=0.1, passes=4, trials=2)


@pytest.mark.parametrize("protected_bits", range(9))
def test_uniform_msp_costs_its_share_of_the_bits(protected_bits):
    """The overhead is the paper's: protected bits over bits."""
    uniform = qtaml.uniform_msp(CONVOLUTION.model(), p=0.1, protected_bits=protected_bits)
    assert uniform.overhead == pytest.approx(protected_bits / 8)
    assert uniform.cells == 1 + uniform.overhead
    assert uniform.predicted_error is None


def test_cells_are_a_share_of_a_plain_memory_of_the_same_bits():
    """A plan of four bits is counted against four bits."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    assert qtaml.uniform_msp(model, p=0.1, protected_bits=1, bits=4).overhead == 0.25
    tac = qtaml.compensate(model, batch, p=0.1, overhead=0.25, bits=4, passes=2, trials=2)
    assert tac.overhead == pytest.approx(0.25, abs=0.01)


def test_a_plan_prints_as_a_table():
    """One row for each tensor, with what was asked of it."""
    text = str(plan())
    for word in ("conv.weight", "head.weight", "protected", "correction", "gain", "error share", "cells", "p=0.1"):
        assert word in text
    assert "embed.weight = head.weight" in str(qtaml.uniform_msp(TRANSFORMER.model(), p=0.1, protected_bits=1))


def test_shares_of_the_error_sum_to_one():
    """Of what differs from read to read; the bias stands below the table."""
    original = plan()
    biased = replace(original, predicted_bias=original.noise_error)
    assert biased.to_pandas()["error_share"].sum() == pytest.approx(1.0)
    assert "bias, which no tensor's share counts, is 50.0% of the predicted error" in " ".join(str(biased).split())


def test_a_plan_survives_a_file(tmp_path):
    """Written and read back it is equal."""
    original = plan()
    original.save(tmp_path / "folder" / "plan.json")
    assert qtaml.Plan.load(tmp_path / "folder" / "plan.json") == original


def test_a_plan_is_frozen():
    """No field can be assigned."""
    with pytest.raises(AttributeError, match="cannot assign to field 'bits'"):
        plan().bits = 4


def spoiled(change):
    """The JSON of a plan after a change of its record."""
    record = json.loads(plan().to_json())
    change(record)
    return json.dumps(record)


def sections(record):
    """The sections of the first tensor in the record of a plan."""
    return record["tensors"][0]["storage"]["sections"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is not a valid Plan"),
        ("[1, 2]", "the text is not a valid Plan"),
        (spoiled(lambda r: r.pop("tensors")), "tensors: Field required"),
        (
            spoiled(lambda r: r.update(version=2)),
            "version: .* must be 3, got 2: the plan was made by an older qtaml; plan",
        ),
        (
            spoiled(lambda r: r.update(version=4)),
            "version: .* must be 3, got 4: the plan was made by a newer qtaml; upd",
        ),
        (spoiled(lambda r: r.update(version="3")), "version: Input should be 3"),
        (
            spoiled(lambda r: r["settings"]["fault"].update(p=0.7)),
            r"p must be a flip probability in \[0, 0.5\), got 0.7",
        ),
        (spoiled(lambda r: r["settings"]["fault"].update(kind="magic")), "fault: Input tag 'magic'"),
        (
            spoiled(lambda r: r["settings"].update(fault={"kind": "per_bit", "p01": [0.1] * 16})),
            "fault must hold words of 8 bits for",
        ),
        (spoiled(lambda r: sections(r).update(sections=[])), "sections must hold at least one weight"),
        (spoiled(lambda r: sections(r).update(formats=[])), "a section must name one of 0 formats by its place"),
        (spoiled(lambda r: r.update(tensors=[])), "tensors must be at least one, each name once"),
        (spoiled(lambda r: r["tensors"].append(r["tensors"][0])), "tensors must be at least one, each name once"),
        (spoiled(lambda r: r["tensors"][0].update(shape=[3, 3])), "must hold its 9 weights, got 36"),
    ],
)
def test_foreign_json_is_refused(text, message):
    """The error names the place and what is wrong there."""
    with pytest.raises(qtaml.StoredFileError, match=message):
        qtaml.Plan.from_json(text)


def test_foreign_files_are_refused(tmp_path):
    """A missing file and one that is no text."""
    with pytest.raises(qtaml.StoredFileError, match=r"cannot read .*plan\.json: No such file"):
        qtaml.Plan.load(tmp_path / "plan.json")
    (tmp_path / "plan.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(qtaml.StoredFileError, match="is not a valid Plan"):
        qtaml.Plan.load(tmp_path / "plan.json")


def test_names_are_printed_as_they_are():
    """A name that looks like markup is shown, not interpreted."""
    import torch
    from torch import nn

    model = nn.ParameterDict({"[/red]": nn.Parameter(torch.ones(2, 2))})
    assert "[/red]" in str(qtaml.uniform_msp(model, p=0.1, protected_bits=1))
