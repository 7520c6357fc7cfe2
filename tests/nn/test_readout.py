"""Readouts: what they read of padded samples is what they read of each sample alone."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snnmap.core.errors import InputError
from snnmap.nn import Readout, ReadoutName, collate_sequences

WANTED = {
    "last": lambda values: values[-1],
    "mean": lambda values: values.mean(dim=0),
    "max": lambda values: values.amax(dim=0),
    "count": lambda values: values.sum(dim=0),
}


@given(
    kind=st.sampled_from(list(WANTED)),
    lengths=st.lists(st.integers(2, 9), min_size=1, max_size=4),
    settle_steps=st.integers(0, 3),
    skip_steps=st.integers(0, 1),
)
def test_padding_does_not_count(kind: ReadoutName, lengths: list[int], settle_steps: int, skip_steps: int) -> None:
    torch.manual_seed(0)
    values = torch.randn(len(lengths), 12, 3, dtype=torch.float64)
    found = Readout(kind, settle_steps=settle_steps, skip_steps=skip_steps)(values, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        assert torch.allclose(found[row], WANTED[kind](values[row, skip_steps : length + settle_steps]))


def test_gradients_reach_only_the_sample() -> None:
    values = torch.randn(2, 5, 3, requires_grad=True)
    Readout("mean")(values, torch.tensor([2, 5])).sum().backward()
    assert values.grad is not None
    assert (values.grad[0, 2:] == 0).all()
    assert (values.grad[0, :2] == 0.5).all()


def test_samples_are_collated() -> None:
    samples = [(torch.ones(3, 2), 1), (torch.ones(5, 2), 0)]
    counts, labels, lengths = collate_sequences(2)(samples)
    assert counts.shape == (2, 7, 2)
    assert counts[0].sum() == 6
    assert labels.tolist() == [1, 0]
    assert lengths.tolist() == [3, 5]


@pytest.mark.parametrize(
    ("readout", "lengths"),
    [
        (Readout("last"), [6, 2]),
        (Readout("last"), [2]),
        (Readout("mean", skip_steps=2), [2, 5]),
        (Readout(settle_steps=1), [5, 5]),
    ],
)
def test_bad_lengths(readout: Readout, lengths: list[int]) -> None:
    with pytest.raises(InputError, match="lengths do not suit"):
        readout(torch.zeros(2, 5, 3), torch.tensor(lengths))


def test_unknown_kind() -> None:
    with pytest.raises(InputError, match="last, mean, max, count"):
        Readout("first")  # type: ignore[arg-type]


def test_what_a_build_gives_is_read() -> None:
    values = np.arange(24.0).reshape(2, 4, 3)
    assert Readout("mean")(values).tolist() == values.mean(axis=1).tolist()
    assert Readout("max")(values.astype(np.int64), [2, 4]).tolist() == [[3, 4, 5], [21, 22, 23]]


def test_lengths_are_whole_numbers() -> None:
    with pytest.raises(InputError, match="whole numbers"):
        Readout("last")(torch.zeros(2, 5, 3), torch.tensor([2.5, 3.0]))


def test_collating_can_be_sent_to_a_worker_and_keeps_labels() -> None:
    collate = pickle.loads(pickle.dumps(collate_sequences(1)))
    _, labels, _ = collate([(np.ones((3, 2)), 0.5), (np.ones((4, 2)), 1.5)])
    assert labels.tolist() == [0.5, 1.5]
