"""Two plans read under the same seed share their errors."""

import torch
from torch import nn

import qtaml


def test_unprotected_bits_have_the_same_errors_under_every_plan():
    """With one bit protected, the errors of the other seven are those of the unprotected memory.

    Digits of the probabilities after the ninth are drawn for lanes that differ between plans: 2**-9 of the bits.
    """
    torch.manual_seed(0)
    model = nn.Linear(256, 256, bias=False)
    words = []
    for protected_bits in (0, 1):
        memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=protected_bits))
        (entry,), stored = memory.plan.tensors, memory.tensors["weight"].words
        fmt = entry.storage.sections[0].format
        words.append(fmt.corrupt(stored.reshape(-1), memory.plan.fault, seed=3) ^ stored.reshape(-1))
    low = [mask & 0x7F for mask in words]
    assert (low[0] != low[1]).double().mean() < 7 / 2**9
    assert (words[1] >> 7 == 0).all()


def test_reads_of_two_plans_are_correlated():
    """Three and four protected bits share the errors of the low bits, a quarter of the former's variance.

    The correlation over 300 reads is 0.5 with a standard error of 0.04; independent reads would give 0 within 0.06.
    """
    torch.manual_seed(0)
    model = nn.Linear(64, 64, bias=False)
    values = []
    for protected_bits in (3, 4):
        memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=protected_bits))
        result = qtaml.evaluate(memory, lambda read: float(read.weight[0, :8].sum()), trials=300)
        values.append(torch.tensor(result.values))
    assert 0.3 < float(torch.corrcoef(torch.stack(values))[0, 1]) < 0.7
