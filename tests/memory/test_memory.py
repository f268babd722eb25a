"""A network in the memory, read back, saved and loaded."""

import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import StaticCells, Uniform
from qtaml.formats import EvenLevels, Format, Section, TensorFormat, TrellisLevels
from qtaml.memory import differences, weak_bits
from qtaml.planning import ByHand, Plan, TensorPlan
from tests.cases import CASES, CONVOLUTION, RESIDUAL, TRANSFORMER, assert_unchanged, snapshot


def stored(case, **arguments):
    """The network of a case, and its memory."""
    model = case.model()
    settings = {"p": 0.1, "overhead": 0.2, "passes": 2, "trials": 2} | arguments
    return model, qtaml.store(model, qtaml.compensate(model, case.batch(), **settings))


def assert_equal_memories(first, second):
    """Fail if two memories differ in any stored bit."""
    assert first.plan == second.plan
    for name, tensor in first.tensors.items():
        assert torch.equal(tensor.words, second.tensors[name].words), name
        assert torch.equal(tensor.scale, second.tensors[name].scale), name
    assert first.rest.keys() == second.rest.keys()
    for name, tensor in first.rest.items():
        assert torch.equal(tensor, second.rest[name]), name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_errors_the_network_comes_back(case):
    """Read without errors, an uncorrected plan gives every weight within half a step and the rest exactly."""
    model, memory = stored(case, correction="none")
    read = memory.model(seed=0, fault=Uniform(0))
    assert not any(module.training for module in read.modules())
    kept = {name for entry in memory.plan.tensors for name in (entry.name, *entry.aliases)}
    for name, tensor in model.state_dict().items():
        found = read.state_dict()[name]
        limit = tensor.abs().max() / 255 * 1.001 if name in kept else 0
        assert (found - tensor).abs().max() <= limit, name


@pytest.mark.slow
def test_tied_weights_stay_tied():
    """Embedding and head of what is read are one tensor, and one draw of errors."""
    _, memory = stored(TRANSFORMER)
    read = memory.model(seed=0)
    assert read.head.weight is read.embed.weight
    state = memory.state_dict(seed=0)
    assert torch.equal(state["head.weight"], state["embed.weight"])
    assert torch.equal(state["head.weight"], read.head.weight)


class Rotary(nn.Linear):
    """A network with a buffer that is not saved, one that a forward pass makes, and a state of its own."""

    def __init__(self) -> None:
        super().__init__(4, 2)
        self.register_buffer("positions", torch.arange(4.0), persistent=False)
        self.steps = 0

    def forward(self, x):
        self.register_buffer("made", torch.ones(1))
        return super().forward(x + self.positions)

    def get_extra_state(self):
        return {"steps": self.steps}

    def set_extra_state(self, state):
        self.steps = state["steps"]


def test_a_state_dict_is_that_of_the_model():
    """`load_state_dict` of a network made anew takes all of it, and misses nothing."""
    model = Rotary()
    model.steps = 7
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    model(torch.ones(1, 4))
    anew = Rotary()
    anew.load_state_dict(memory.state_dict(seed=1))
    assert anew.steps == 7
    assert torch.equal(anew.weight, memory.model(seed=1).weight)
    assert not torch.equal(anew.weight, model.weight)


@pytest.mark.slow
def test_a_memory_loaded_into_an_untied_model_fills_both():
    """If the model that a memory is loaded into does not tie them, both tensors get what is read."""
    _, memory = stored(TRANSFORMER)
    untied = TRANSFORMER.model()
    untied.head.weight = nn.Parameter(torch.zeros(7, 8))
    memory.read_into(untied, seed=0)
    assert torch.equal(untied.head.weight, untied.embed.weight)


def test_reads_are_reproducible_and_independent():
    """The same seed gives the same read; another seed another; tensors do not share errors."""
    _, memory = stored(CONVOLUTION, overhead=0.0)
    first, again, other = (memory.state_dict(seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


@pytest.mark.slow
def test_read_values_have_the_exact_mean_and_variance():
    """Over 4000 reads the mean and variance of every weight agree with the exact ones.

    The sum of squared z-scores of the means is chi-square; it is required to lie within 5 sigma (false alarm 1e-6). A
    shift of all means by 5 per cent of the spread of one read would be seen.
    """
    torch.manual_seed(0)
    model = nn.Linear(8, 4, bias=False)
    memory = qtaml.store(model, qtaml.compensate(model, torch.randn(16, 8), p=0.1, overhead=0.1, granularity="row"))
    (entry,) = memory.plan.tensors
    tensor = memory.tensors["weight"]
    reads = torch.stack([dict(memory.read(seed=seed))["weight"].double() for seed in range(4000)])
    mean = entry.storage.read_mean(tensor.words, tensor.scale, memory.plan.fault)
    noisy = reads.std(0) > 0
    z = ((reads.mean(0) - mean) / (reads.std(0) / 4000**0.5))[noisy]
    assert abs(float(z.square().sum()) - len(z)) < 5 * (2 * len(z)) ** 0.5
    assert (reads.mean(0) - mean)[~noisy].abs().sum() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_floating_dtype_is_stored(dtype):
    """The network comes back in its own dtype, non-contiguous weights included."""
    model = nn.Linear(6, 4, bias=False).to(dtype)
    model.weight = nn.Parameter(torch.randn(6, 4).to(dtype).T)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=8))
    read = memory.model(seed=0).weight
    assert read.dtype == dtype
    assert (read.double() - model.weight.double()).abs().max() <= model.weight.double().abs().max() / 100


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_saved_and_loaded_it_is_the_same(case, tmp_path):
    """Every stored bit survives the disk, also when loaded into a network of other weights."""
    _, memory = stored(case)
    memory.save(tmp_path / "deployed")
    assert_equal_memories(memory, qtaml.load(tmp_path / "deployed", case.model(seed=9)))
    reads = (qtaml.load(tmp_path / "deployed", case.model(seed=9)).state_dict(seed=3), memory.state_dict(seed=3))
    assert all(torch.equal(reads[0][name], reads[1][name]) for name in reads[1])


@pytest.mark.slow
def test_plan_and_weights_rebuild_the_memory():
    """A plan that went through JSON stores the same bits."""
    model, memory = stored(RESIDUAL, granularity="row", encoding="gray")
    assert_equal_memories(memory, qtaml.store(model, qtaml.Plan.from_json(memory.plan.to_json())))


def test_saving_twice_replaces_and_leaves_nothing_behind(tmp_path):
    """An older memory is replaced; no temporary folder stays."""
    _, first = stored(CONVOLUTION)
    model, second = stored(CONVOLUTION, seed=1, overhead=0.5)
    first.save(tmp_path / "deployed")
    second.save(tmp_path / "deployed")
    assert_equal_memories(second, qtaml.load(tmp_path / "deployed", model))
    assert [path.name for path in tmp_path.iterdir()] == ["deployed"]


def test_a_failed_save_leaves_the_old_memory(tmp_path, monkeypatch):
    """If writing fails half-way, the older memory is intact and no partial folder is left."""
    model, memory = stored(CONVOLUTION)
    memory.save(tmp_path / "deployed")
    _, other = stored(CONVOLUTION, overhead=0.9)

    def fail(*_):
        raise RuntimeError("half-way")

    monkeypatch.setattr("qtaml._files.to_json", fail)
    with pytest.raises(RuntimeError, match="half-way"):
        other.save(tmp_path / "deployed")
    assert [path.name for path in tmp_path.iterdir()] == ["deployed"]
    monkeypatch.undo()
    assert_equal_memories(memory, qtaml.load(tmp_path / "deployed", model))


def test_foreign_folders_are_not_overwritten(tmp_path):
    """A folder with other files, or a file, is refused and kept."""
    _, memory = stored(CONVOLUTION)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("text")
    for name in ("thesis", "file"):
        with pytest.raises(qtaml.StoredFileError, match=r"exists and has no manifest\.json: it is not overwritten"):
            memory.save(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "thesis"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved memory."""
    path = tmp_path_factory.mktemp("memory") / "deployed"
    stored(CONVOLUTION)[1].save(path)
    return path


def test_another_model_is_refused(saved):
    """Missing tensors, other shapes, other dtypes and other surroundings are named."""
    with pytest.raises(qtaml.ModelError, match=r"the model has no tensor 'conv\.weight', which the plan stores"):
        qtaml.load(saved, RESIDUAL.model())
    wider = CONVOLUTION.model()
    wider.head = nn.Linear(64, 5)
    with pytest.raises(qtaml.ModelError, match=r"'head\.weight' must have shape \(3, 64\) and dtype float32"):
        qtaml.load(saved, wider)
    with pytest.raises(qtaml.ModelError, match=r"got shape \(4, 1, 3, 3\) and dtype float64"):
        qtaml.load(saved, CONVOLUTION.model().double())
    bare = CONVOLUTION.model()
    bare.norm = nn.Identity()
    with pytest.raises(qtaml.ModelError, match=r"'norm\.bias' is in only one of the two"):
        qtaml.load(saved, bare)


def test_a_plan_for_another_model_is_refused():
    """`store` checks names, shapes and finiteness, and leaves the model alone."""
    model = CONVOLUTION.model()
    plan = qtaml.uniform_msp(model, p=0.1, protected_bits=1)
    with pytest.raises(qtaml.ModelError, match=r"has no tensor 'conv\.weight'"):
        qtaml.store(RESIDUAL.model(), plan)
    with torch.no_grad():
        model.conv.weight[0] = float("nan")
    with pytest.raises(qtaml.ModelError, match=r"'conv\.weight' must be finite, got 9 NaN or infinite of 36"):
        qtaml.store(model, plan)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_callers_model_is_not_changed(case, tmp_path):
    """Storing, reading, saving and loading leave it bit for bit as it was."""
    model = case.model()
    before = snapshot(model)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    memory.model(seed=0)
    memory.save(tmp_path / "deployed")
    qtaml.load(tmp_path / "deployed", model).state_dict(seed=1)
    assert_unchanged(model, before)


def test_biases_in_the_memory_are_read_with_errors():
    """Included biases are stored under their own scale."""
    model = CONVOLUTION.model()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.3, protected_bits=0, include=["head.bias"]))
    assert not torch.equal(memory.model(seed=0).head.bias, model.head.bias)
    assert torch.equal(memory.model(seed=0).conv.bias, model.conv.bias)


def test_a_model_that_cannot_be_copied_is_named():
    """A module that refuses to be copied gives a clear error."""

    class Unique(nn.Linear):
        def __deepcopy__(self, memo):
            raise RuntimeError("there is only one")

    model = Unique(2, 2)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    with pytest.raises(
        qtaml.ModelError, match="the model cannot be copied, without which it would be changed: there is only one"
    ):
        memory.model(seed=0)


def test_an_interrupted_replacement_keeps_the_old_memory(tmp_path, monkeypatch):
    """Where a system cannot exchange two folders, an interruption in between brings the old one back."""
    import os

    model, memory = stored(CONVOLUTION)
    memory.save(tmp_path / "deployed")
    monkeypatch.setattr("qtaml._replacing._exchange", lambda first, second: False)
    replace, calls = os.rename, []

    def interrupted(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt("pressed")
        replace(source, target)

    monkeypatch.setattr("os.rename", interrupted)
    with pytest.raises(KeyboardInterrupt, match="pressed"):
        stored(CONVOLUTION, overhead=0.9)[1].save(tmp_path / "deployed")
    monkeypatch.undo()
    assert_equal_memories(memory, qtaml.load(tmp_path / "deployed", model))
    assert [path.name for path in tmp_path.iterdir()] == ["deployed"]


def test_odd_paths_are_written_or_refused(tmp_path, monkeypatch):
    """Links are followed, relative paths work, impossible ones are clear errors; files have ordinary rights."""
    model, memory = stored(CONVOLUTION)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    memory.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert_equal_memories(memory, qtaml.load(tmp_path / "real", model))
    monkeypatch.chdir(tmp_path)
    memory.save("a/b/")
    memory.save("../" + tmp_path.name + "/a/b")
    for path in ("x" * 300, "nul\0byte"):
        with pytest.raises(qtaml.StoredFileError, match="cannot write"):
            memory.save(path)
    with pytest.raises(qtaml.StoredFileError, match="cannot write"):
        memory.plan.save(tmp_path / "real")
    memory.plan.save("plan.json")
    assert (tmp_path / "plan.json").stat().st_mode & 0o777 == (tmp_path / "real" / "plan.json").stat().st_mode & 0o777


def test_reading_into_other_layouts_and_dtypes_is_the_same():
    """Weights that are not contiguous, or that the user converted, get the values of `read`."""
    model = CONVOLUTION.model()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    expected = dict(memory.read(seed=4))
    for change in (lambda m: m, lambda m: m.to(memory_format=torch.channels_last), lambda m: m.double()):
        into = change(memory.copy_of_model())
        memory.read_into(into, seed=4)
        for name, tensor in expected.items():
            assert torch.equal(into.state_dict()[name].to(tensor.dtype), tensor)


def test_a_model_without_data_is_refused(saved):
    """Nothing can be read into tensors on the device meta."""
    with pytest.raises(qtaml.ModelError, match=r"tensor 'conv\.weight' of the model is on device meta"):
        qtaml.load(saved, CONVOLUTION.model().to("meta"))
    model = CONVOLUTION.model()
    plan = qtaml.uniform_msp(model, p=0.1, protected_bits=1)
    with pytest.raises(qtaml.ModelError, match=r"tensor 'conv\.weight' has no data yet"):
        qtaml.store(model.to("meta"), plan)


def test_what_is_loaded_does_not_depend_on_the_file(saved, tmp_path):
    """A file that changes after it was loaded changes nothing."""
    copy = tmp_path / "deployed"
    shutil.copytree(saved, copy)
    memory = qtaml.load(copy, CONVOLUTION.model())
    before = {name: tensor.words.clone() for name, tensor in memory.tensors.items()}
    with (copy / "planes.safetensors").open("r+b") as file:
        file.truncate(0)
    for name, words in before.items():
        assert torch.equal(memory.tensors[name].words, words)


def test_reading_leaves_the_plan_as_it_was():
    """What reading keeps for later reads does not show in the plan's JSON, nor in comparisons."""
    _, memory = stored(CONVOLUTION)
    before = memory.plan.to_json()
    memory.model(seed=0)
    assert memory.plan.to_json() == before
    assert qtaml.Plan.from_json(before) == memory.plan


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_reader_gives_what_read_into_gives(case):
    """Read after read into the same copy: weights, tied ones, and everything outside the memory."""
    _, memory = stored(case)
    again, once = memory.copy_of_model(), memory.copy_of_model()
    read = memory.reader(again)
    for seed in (1, 2, None, 1):
        for tensor in again.state_dict().values():
            tensor.zero_()
        read(seed)
        memory.read_into(once, seed=seed)
        assert not again.training
        for name, tensor in once.state_dict().items():
            assert torch.equal(again.state_dict()[name], tensor)


def test_several_reads_at_a_time_are_the_same_reads():
    """Their first dimension counts them."""
    _, memory = stored(CONVOLUTION, overhead=0.3)
    together = memory.read_together([5, 6])
    for place, seed in enumerate((5, 6)):
        for name, tensor in memory.read(seed=seed):
            assert torch.equal(together[name][place], tensor)


@pytest.mark.slow
def test_several_reads_of_tied_weights_have_all_their_names():
    """Whatever the model that they are read into ties."""
    together = stored(TRANSFORMER)[1].read_together([5, 6])
    assert torch.equal(together["head.weight"], together["embed.weight"])


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model.head.weight, "data", model.head.weight.data.clamp(-0.1, 0.1)),
        lambda model: setattr(model.head, "weight", nn.Parameter(torch.zeros_like(model.head.weight))),
        lambda model: setattr(model, "head", nn.Linear(64, 3).requires_grad_(False)),
        lambda model: model.double(),
        lambda model: model.to(memory_format=torch.channels_last),
    ],
)
def test_a_reader_follows_a_model_that_changes_its_tensors(change):
    """As networks do that clamp, flatten or convert their weights when they are run."""
    _, memory = stored(CONVOLUTION)
    model = memory.copy_of_model()
    read = memory.reader(model)
    for seed in (1, 2, 3):
        read(seed)
        for name, tensor in memory.read(seed=seed):
            assert torch.equal(model.state_dict()[name].to(tensor.dtype), tensor)
        change(model)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_compiled_network_is_the_network(case, tmp_path):
    """What is planned, stored and measured of it is that of the plain one, which it can be loaded into; and back."""
    model, inputs = case.model(), case.batch(8)
    compiled = torch.compile(model, backend="eager")
    labels = torch.arange(8) % 2
    plain, other = (qtaml.compensate(one, inputs, p=0.1, overhead=0.5) for one in (model, compiled))
    assert plain == other
    memories = [qtaml.store(one, plain) for one in (model, compiled)]
    results = [qtaml.evaluate(memory, qtaml.Accuracy(inputs, labels), trials=3) for memory in memories]
    assert results[0] == results[1]
    compiled.load_state_dict(memories[1].state_dict(seed=0))
    model.load_state_dict(memories[0].state_dict(seed=0))
    memories[1].save(tmp_path / "deployed")
    for one in (model, compiled):
        assert_equal_memories(memories[0], qtaml.load(tmp_path / "deployed", one))


def test_sparse_buffers_are_read_but_not_saved(tmp_path):
    """They are the same in every read; no file can hold them, which is said before one is written."""
    model = nn.Linear(3, 2)
    model.register_buffer("mask", torch.eye(2).to_sparse())
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    assert torch.equal(memory.model(seed=0).mask.to_dense(), torch.eye(2))
    with pytest.raises(
        qtaml.ModelError, match=r"tensor 'mask' must be dense to be stored, got layout torch\.sparse_coo"
    ):
        memory.save(tmp_path / "deployed")
    assert not list(tmp_path.iterdir())


def test_a_network_is_stored_for_a_chip(tmp_path):
    """Its weak cells are known to the writer: less than half the error is left, and the reader knows of nothing."""
    torch.manual_seed(0)
    model = nn.Linear(40, 30)
    trellis = Format(TrellisLevels(2, 3, ((1, -0.9), (2, -0.45), (12, 0.3), (48, 0.2))))
    sections = (Section(600, trellis), Section(600, Format(EvenLevels(6))))
    storage = TensorFormat(sections, correction="least_error")
    plan = Plan(ByHand(p=0.0), (TensorPlan.of("weight", (), model.weight, storage),))
    weak = StaticCells(p01=(0.0,) * 15 + (1.0,), p10=(0.0,) * 14 + (1.0, 0.0), chip=5)
    known = weak_bits(plan, weak)
    memory, unaware = qtaml.store(model, plan, weak_cells=known), qtaml.store(model, plan)

    def error(stored, fault):
        read = dict(stored.read(seed=0, fault=fault))["weight"]
        return float((read - model.weight).detach().square().sum())

    assert error(memory, weak) < error(unaware, weak) / 2
    assert error(memory, replace(weak, chip=6)) > 2 * error(memory, weak)
    memory.save(tmp_path / "chip")
    back = qtaml.load(tmp_path / "chip", model)
    assert error(back, weak) == error(memory, weak)
    assert differences(back, model, weak_cells=known) == []
    assert differences(back, model)
    with pytest.raises(qtaml.ArgumentError, match="weak_cells"):
        qtaml.store(model, plan, weak_cells={})
