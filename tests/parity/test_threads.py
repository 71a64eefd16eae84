import pytest

from mgn_convert.parity.threads import over_rows


@pytest.mark.parametrize("cores", [1, 3, None])
def test_runs_cover_the_rows_in_order(cores, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert over_rows(lambda start, stop: (start, stop), 7, 3) == [(0, 3), (3, 6), (6, 7)]
    assert over_rows(lambda start, stop: (start, stop), 2, 3) == [(0, 2)]
    assert over_rows(lambda start, stop: (start, stop), 0, 3) == []


@pytest.mark.parametrize("cores", [1, 3])
def test_an_error_in_a_run_is_raised(cores, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    with pytest.raises(ZeroDivisionError):
        over_rows(lambda start, stop: 1 // start, 7, 3)
