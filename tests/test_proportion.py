"""The interval of an accuracy, held against scipy's and against what it promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssam.stats import proportion


@given(st.integers(1, 20_000), st.data())
def test_it_is_wilsons_interval(size: int, data: st.DataObject) -> None:
    from scipy.stats import binomtest  # here: it takes seconds to import

    right = data.draw(st.integers(0, size))
    expected = binomtest(right, size).proportion_ci(0.95, method="wilson")
    assert proportion.wilson(right / size, size) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("size", [40, 160, 2000, 10_000])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.805, 0.98])
def test_it_holds_the_true_share_in_about_95_of_100_test_sets(size: int, share: float) -> None:
    """Exact, no simulation: the chance of every count whose interval holds the share."""
    from scipy.stats import binom

    likely = binom.ppf([1e-9, 1 - 1e-9], size, share).astype(int)
    counts = range(likely[0], likely[1] + 1)
    covered = sum(
        binom.pmf(count, size, share)
        for count in counts
        if proportion.wilson(count / size, size)[0] <= share <= proportion.wilson(count / size, size)[1]
    )
    assert covered == pytest.approx(0.95, abs=0.03)


def test_what_is_shown_is_the_interval() -> None:
    low, high = proportion.wilson(0.805, 10_000)
    assert float(proportion.margin(0.805, 10_000).removeprefix("± ")) == pytest.approx(50 * (high - low), abs=0.05)
    low, high = proportion.wilson(0.8, 160)
    shown = [float(end) for end in proportion.margin(0.8, 160).split("–")]
    assert shown == pytest.approx([100 * low, 100 * high], abs=0.05)
    assert proportion.margin(1.0, 160).endswith("100.0")  # nothing above all of them


@pytest.mark.parametrize(("share", "size"), [(-0.1, 10), (1.1, 10), (float("nan"), 10), (0.5, 0)])
def test_what_is_no_share_is_refused(share: float, size: int) -> None:
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        proportion.wilson(share, size)
