"""State dicts and programs that PyTorch, transformers and qtaml load."""

import zipfile

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.export import Dim

import qtaml
from qtaml.export import write_program, write_state_dict
from qtaml.model import arguments, output_tensor
from tests.cases import CONVOLUTION, TRANSFORMER
from tests.conformance.test_networks import network
from tests.full_disk import full_disk

NETWORKS = (
    "encoder",
    "decoder with tied embeddings",
    "vision transformer of timm",
    "ResNet of timm",
    "weight norm",
    "a weight in a buffer",
)


def stored(name):
    """A network, its inputs, and its memory."""
    model, inputs = (CONVOLUTION.model(), CONVOLUTION.batch()) if name == "convolution" else network(name)
    return model, inputs, qtaml.store(model, qtaml.uniform_msp(model, p=0.01, protected_bits=2))


@pytest.mark.parametrize("name", ["convolution", *NETWORKS])
def test_a_state_dict_is_loaded_elsewhere(name, tmp_path):
    """`load_state_dict` takes it as it is; the network is bit for bit what the memory reads."""
    _, inputs, memory = stored(name)
    write_state_dict(memory, tmp_path / "model.safetensors", seed=3)
    elsewhere = memory.copy_of_model()
    for parameter in elsewhere.parameters():
        parameter.zero_()
    elsewhere.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    elsewhere.eval()
    assert torch.equal(output_tensor(elsewhere, inputs), output_tensor(memory.model(seed=3), inputs))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convolution", *NETWORKS])
def test_a_program_is_loaded_elsewhere(name, tmp_path):
    """Without the code of the network, for other numbers of samples; outputs are bit for bit those of the memory."""
    _, inputs, memory = stored(name)
    write_program(memory, tmp_path / "network.pt2", inputs, seed=3)
    program = torch.export.load(tmp_path / "network.pt2").module()
    for batch in (inputs, first_sample(inputs)):
        args, kwargs = arguments(batch, program)
        assert torch.equal(program(*args, **kwargs), output_tensor(memory.model(seed=3), batch))


@pytest.mark.slow
@pytest.mark.parametrize("samples", [Dim("samples", min=2, max=4096), Dim("samples", max=64), Dim.DYNAMIC], ids=str)
def test_programs_with_bounds_on_their_batches_go_out_again(samples, tmp_path):
    """The bounds of the program that was stored are those of the one that is written."""
    model, inputs = CONVOLUTION.model().eval(), CONVOLUTION.batch(8)
    program = torch.export.export(model, (inputs,), dynamic_shapes=({0: samples},)).module()
    memory = qtaml.store(program, qtaml.uniform_msp(program, p=0.01, protected_bits=2))
    write_program(memory, tmp_path / "network.pt2", inputs)
    again = torch.export.load(tmp_path / "network.pt2").module()
    for number in (2, 8, 40):
        batch = CONVOLUTION.batch(number)
        assert torch.equal(again(batch), memory.model(seed=None)(batch))


def first_sample(inputs):
    """A batch of one sample."""
    return {name: value[:1] for name, value in inputs.items()} if isinstance(inputs, dict) else inputs[:1]


@pytest.mark.slow
def test_a_program_says_nothing_of_the_user(tmp_path):
    """Neither inputs nor paths of the machine are in it."""
    _, inputs, memory = stored("decoder with tied embeddings")
    write_program(memory, tmp_path / "network.pt2", inputs)
    assert torch.export.load(tmp_path / "network.pt2").example_inputs is None
    with zipfile.ZipFile(tmp_path / "network.pt2") as archive:
        content = b"".join(map(archive.read, archive.namelist()))
    assert b"transformer.wte.weight" in content
    for folder in (torch.__file__, __file__):
        assert folder.rpartition("/")[0].encode() not in content


def test_transformers_loads_a_state_dict_as_its_own(tmp_path):
    """In place of the weights of the directory that the network is from; tied weights stay tied."""
    transformers = pytest.importorskip("transformers")
    model, inputs, memory = stored("decoder with tied embeddings")
    model.save_pretrained(tmp_path / "decoder")
    write_state_dict(memory, tmp_path / "decoder" / "model.safetensors", seed=3)
    found, loading = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "decoder", output_loading_info=True)
    assert not any(loading.values())
    assert found.lm_head.weight is found.transformer.wte.weight
    assert torch.equal(output_tensor(found.eval(), inputs), output_tensor(memory.model(seed=3), inputs))


@pytest.mark.slow
def test_tied_weights_have_each_of_their_names(tmp_path):
    """Also in the memory of a program that came from a file."""
    model = TRANSFORMER.model().eval()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    write_program(memory, tmp_path / "a.pt2", TRANSFORMER.batch())
    program = torch.export.load(tmp_path / "a.pt2").module()
    memory = qtaml.store(program, qtaml.uniform_msp(program, p=0.1, protected_bits=1))
    write_state_dict(memory, tmp_path / "again.safetensors")
    model.load_state_dict(safetensors.torch.load_file(tmp_path / "again.safetensors"))
    assert model.head.weight is model.embed.weight
    write_program(memory, tmp_path / "again.pt2", TRANSFORMER.batch())
    again = torch.export.load(tmp_path / "again.pt2").module()
    torch.testing.assert_close(again(TRANSFORMER.batch(3)), model(TRANSFORMER.batch(3)))


def test_only_tensors_are_written(tmp_path):
    """A state dict with anything else is refused, and nothing is left behind."""

    class Counted(nn.Linear):
        def get_extra_state(self):
            return {"steps": 3}

    model = Counted(3, 2)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    with pytest.raises(qtaml.ModelError, match="must hold dense tensors only, got other content under '_extra_state'"):
        write_state_dict(memory, tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


WRITERS = {
    "model.safetensors": lambda memory, path: write_state_dict(memory, path),
    "network.pt2": lambda memory, path: write_program(memory, path, CONVOLUTION.batch()),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_older_file(name, tmp_path):
    """A clear error, the older file whole, nothing half-written."""
    _, _, memory = stored("convolution")
    (tmp_path / name).write_text("older")
    with full_disk(), pytest.raises(qtaml.StoredFileError, match=rf"cannot write .*{name}: .*[Ff]ile too large"):
        WRITERS[name](memory, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "older"


@pytest.mark.parametrize("name", WRITERS)
def test_places_that_cannot_be_written(name, tmp_path):
    """A directory, and a file in place of a folder."""
    _, _, memory = stored("convolution")
    (tmp_path / name).mkdir()
    with pytest.raises(qtaml.StoredFileError, match=rf"cannot write .*{name}: it is a directory"):
        WRITERS[name](memory, tmp_path / name)
    (tmp_path / "file").write_text("")
    with pytest.raises(qtaml.StoredFileError, match=r"cannot write .*file/"):
        WRITERS[name](memory, tmp_path / "file" / name)
