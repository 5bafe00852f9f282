"""How values and counts are put into sentences."""

from fractions import Fraction

import numpy as np
import pytest

import tfp_flows as tff
from tfp_flows.checks import check_positive
from tfp_flows.words import in_short, plural


class Mute:
    def __repr__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("word", "'word'"),
        (3, "3"),
        (np.zeros((3, 2)), "array([[0., 0.] …"),
        ("a" * 300, f"'{'a' * 87} … {'a' * 8}'"),
        (Mute(), "a Mute"),
    ],
)
def test_a_value_is_shown_in_short(value, expected):
    assert in_short(value) == expected


@pytest.mark.filterwarnings("error")
def test_positive_numbers_of_any_kind():
    for value in (1, 0.5, np.float16(1), np.float32(3e38), np.int64(5), np.uint8(3), Fraction(1, 3)):
        check_positive(rate=value)
    for value in (0, -1, 10**400, Fraction(10**400), np.float32("inf"), np.float16("nan"), True, "1", None):
        with pytest.raises(tff.InputError, match="rate must be a number above 0; got"):
            check_positive(rate=value)


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_one_is_no_plural(count):
    assert plural(count, "row") == f"{count:,} row{'' if count == 1 else 's'}"


def test_a_flow_in_a_wrong_place_is_named_and_not_summarised():
    flow = tff.nice(2, num_layers=1, hidden_units=(4,))
    calls = {
        "context_network": lambda: tff.maf(2, context_size=1, context_network=flow),
        "mixing": lambda: tff.maf(2, mixing=flow),
        "hidden_units": lambda: tff.maf(2, hidden_units=flow),
        "support": lambda: tff.maf(2, support=flow),
        "seed": lambda: tff.maf(2, seed=flow),
        "dtype": lambda: tff.maf(2, dtype=flow),
        "activation": lambda: tff.maf(2, activation=flow),
    }
    for name, call in calls.items():
        with pytest.raises(tff.InputError, match=rf"^{name} .*got Flow nice: \[2\] float32, from data to latent …\.$"):
            call()


def test_one_column_is_one_column():
    flow = tff.maf(1, num_layers=1, context_size=1, hidden_units=(4,), batch_norm=False)
    assert "1 statistics" not in flow.summary()
    with pytest.raises(tff.InputError, match=r"needs context=… with 1 column; got none"):
        flow.log_prob([[0.0]])
    with pytest.raises(tff.InputError, match=r"must list 1 permutation, one before"):
        tff.maf(2, num_layers=1, mixing=[])
    with pytest.raises(tff.InputError, match=r"must list 1 integer, one for each"):
        tff.maf(2, num_layers=1, octaves=[1, 2])
    with pytest.raises(tff.InputError, match=r"must have 1 column, as the network was built for"):
        tff.networks.MLP(1, 2)([[0.0, 0.0]])
