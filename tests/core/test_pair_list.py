import pytest

from reconflow.core.matches import PairSummary
from reconflow.core.pair_list import encode_pairs, read_pairs
from reconflow.errors import InputError

PAIRS = [
    PairSummary(first="a, b.jpg", second="ü/c.jpg", putative=90, inliers=80, configuration="CALIBRATED", verified=True),
    PairSummary(
        first="a, b.jpg", second="d.jpg", putative=1, inliers=0, configuration="UNDEFINED", verified=False, reason="few"
    ),
]


def test_pairs_come_back_as_they_were(tmp_path):
    (tmp_path / "pairs.csv").write_bytes(encode_pairs(PAIRS))
    assert read_pairs(tmp_path / "pairs.csv") == PAIRS


@pytest.mark.parametrize("content", [b"first,second\na,b\n", b"\xff\xfe"])
def test_a_file_that_is_no_table_of_pairs_is_refused(tmp_path, content):
    (tmp_path / "pairs.csv").write_bytes(content)
    with pytest.raises(InputError, match="pairs"):
        read_pairs(tmp_path / "pairs.csv")
