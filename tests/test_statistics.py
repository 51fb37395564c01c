from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastgmm import tensors
from fastgmm.errors import StatisticsError
from fastgmm.statistics import SufficientStatistics


def statistics(seed: int = 0, k: int = 2, d: int = 3, *, whole: bool = True) -> SufficientStatistics:
    """Statistics of whole numbers, whose sums are exact, or of any."""
    rng = np.random.default_rng([seed, k, d])

    def draw(*shape: int) -> NDArray[np.float64]:
        return rng.integers(-99, 100, shape).astype(np.float64) if whole else rng.standard_normal(shape)

    square = draw(k, d, d)
    return SufficientStatistics(
        np.zeros((k, d)), np.abs(draw(k)) + 1, draw(k, d), square + square.swapaxes(1, 2), float(draw(1)[0]), 7.0 + seed
    )


def assert_same(a: SufficientStatistics, b: SufficientStatistics) -> None:
    assert a.to_bytes() == b.to_bytes()


def assert_close(a: SufficientStatistics, b: SufficientStatistics) -> None:
    for name in ("origins", "sum_w", "sum_x", "sum_xx", "log_likelihood", "weight"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-13, atol=1e-12)


# --- a monoid ---


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_addition_is_associative_and_commutative(i: int, j: int, k: int) -> None:
    a, b, c = statistics(i), statistics(j), statistics(k)
    assert_same((a + b) + c, a + (b + c))
    assert_same(a + b, b + a)


def test_nothing_is_neutral() -> None:
    a = statistics().recentre(np.ones((2, 3)))
    nothing = SufficientStatistics.zeros(2, 3)
    assert nothing.is_zero
    assert not a.is_zero
    assert_same(a + nothing, a)
    assert_same(nothing + a, a)
    assert (nothing + nothing).is_zero


@given(st.integers(0, 99), st.integers(0, 99))
def test_addition_with_other_origins(i: int, j: int) -> None:
    a, b = statistics(i, whole=False), statistics(j, whole=False)
    origins = np.random.default_rng(i).standard_normal((2, 3))
    moved = a + b.recentre(origins)
    np.testing.assert_array_equal(moved.origins, a.origins)
    assert_close(moved, a + b)
    assert_close(b.recentre(origins) + a, (a + b).recentre(origins))


def test_addition_refuses_other_mixtures() -> None:
    with pytest.raises(StatisticsError, match=r"2 components × 3 features.*4 × 3"):
        statistics() + statistics(k=4)
    with pytest.raises(TypeError):
        statistics() + 1  # type: ignore[operator]


# --- origins ---


@given(st.integers(0, 99), st.floats(-1e3, 1e3))
def test_recentre_round_trip(seed: int, distance: float) -> None:
    a = statistics(seed, whole=False)
    origins = distance * np.random.default_rng(seed).standard_normal((2, 3))
    back = a.recentre(origins).recentre(a.origins)
    np.testing.assert_array_equal(back.sum_w, a.sum_w)
    np.testing.assert_allclose(back.sum_xx, a.sum_xx, atol=1e-12 * (1 + distance**2))


def test_recentre_by_whole_numbers_is_exact() -> None:
    a = statistics()
    origins = np.arange(6.0).reshape(2, 3)
    assert_same(a.recentre(origins).recentre(a.origins), a)
    assert a.recentre(a.origins.copy()) is a


def test_recentre_is_what_the_rows_say() -> None:
    rng = np.random.default_rng(0)
    X, shares, origins = rng.standard_normal((50, 3)), rng.random((50, 2)), rng.standard_normal((2, 3))

    def about(points: Any) -> SufficientStatistics:
        z = X[:, None] - points
        return SufficientStatistics(
            points,
            shares.sum(axis=0),
            np.einsum("nk,nkd->kd", shares, z),
            np.einsum("nk,nkd,nke->kde", shares, z, z),
            -1.0,
            50.0,
        )

    assert_close(about(np.zeros((2, 3))).recentre(origins), about(origins))


def test_recentre_keeps_its_own_copy_of_the_origins() -> None:
    origins = np.ones((2, 3))
    moved = statistics().recentre(origins)
    origins[:] = 5.0
    np.testing.assert_array_equal(moved.origins, 1.0)


@pytest.mark.parametrize("name", ["sum_w", "sum_x", "sum_xx"])
def test_shapes_must_belong_together(name: str) -> None:
    arrays = vars(statistics()) | {name: np.zeros((5, 5, 5, 5))}
    with pytest.raises(StatisticsError, match=f"{name} must have shape"):
        SufficientStatistics(**arrays)


# --- bytes ---


def test_bytes_round_trip_bit_by_bit() -> None:
    a = statistics(whole=False)
    a.sum_x[0] = [-0.0, 5e-324, 1e308]
    a.sum_xx[0, 0] = [np.inf, -np.inf, np.nan]
    back = SufficientStatistics.from_bytes(a.to_bytes())
    for name in ("origins", "sum_w", "sum_x", "sum_xx"):
        assert getattr(back, name).tobytes() == getattr(a, name).tobytes()
        assert getattr(back, name).dtype == np.float64
    assert (back.log_likelihood, back.weight) == (a.log_likelihood, a.weight)


def test_what_was_read_can_be_added_and_written() -> None:
    back = SufficientStatistics.from_bytes(statistics().to_bytes())
    assert_same(back + back, statistics() + statistics())
    back.sum_w[0] = 1.0


def test_bytes_do_not_depend_on_memory_layout() -> None:
    a = statistics()
    b = SufficientStatistics(**vars(a) | {"sum_xx": np.asfortranarray(a.sum_xx), "sum_w": a.sum_w.astype(">f8")})
    assert_same(a, b)


def refused(content: Any) -> bool:
    try:
        SufficientStatistics.from_bytes(content)
    except StatisticsError:
        return True
    return False


def test_every_truncation_is_refused() -> None:
    content = statistics(k=1, d=2).to_bytes()
    assert all(refused(content[:length]) for length in range(len(content)))
    assert refused(content + b"\0")


def test_every_flipped_bit_is_refused_or_harmless() -> None:
    original = statistics(k=1, d=2)
    content = original.to_bytes()
    for place in range(len(content)):
        for bit in range(8):
            altered = bytearray(content)
            altered[place] ^= 1 << bit
            if not refused(bytes(altered)):
                assert_same(SufficientStatistics.from_bytes(bytes(altered)), original)


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff" * 99, None, 7, "text", [1, 2]])
def test_what_are_no_statistics_is_refused(content: Any) -> None:
    assert refused(content)


def with_header(change: Any) -> bytes:
    """Statistics whose header was rewritten by `change`, with the right checksum unless that was rewritten."""
    content = statistics().to_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    before = header["__metadata__"]["sha256"]
    change(header)
    metadata = header.get("__metadata__")
    if metadata and metadata["sha256"] == before:
        del metadata["sha256"]
        metadata["sha256"] = tensors.checksum(header, content[8 + length :])
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


@pytest.mark.parametrize("name", ["origins", "sum_w", "sum_x", "sum_xx", "scalars"])
def test_arrays_of_other_dtypes_are_refused(name: str) -> None:
    assert refused(with_header(lambda header: header[name].update(dtype="I64")))


def test_altered_headers_are_refused() -> None:
    assert not refused(with_header(lambda header: None))
    assert refused(with_header(lambda header: header.pop("sum_w")))
    assert refused(with_header(lambda header: header.update(extra=header["scalars"])))
    assert refused(with_header(lambda header: header["__metadata__"].update(format="fastgmm-statistics-9")))
    assert refused(with_header(lambda header: header["__metadata__"].update(sha256="")))
    assert refused(with_header(lambda header: header.pop("__metadata__")))
    assert refused(with_header(lambda header: header["sum_x"].update(shape=[3, 2])))
    assert refused(with_header(lambda header: header["sum_x"].update(shape=[-2, -3])))
    assert refused(with_header(lambda header: header["sum_x"].update(shape=[2, float("inf")])))
    assert refused(with_header(lambda header: header["sum_x"].update(data_offsets=[0, 48])))
    assert refused(with_header(lambda header: header["sum_x"].update(dtype=["F64"])))


@pytest.mark.parametrize("shape", ["[1e999]", "[0,1000000000000000000000000000000]"])
def test_sizes_beyond_the_machine_are_refused(shape: str) -> None:
    content = with_header(lambda header: header["sum_w"].update(shape="HERE"))
    length = int.from_bytes(content[:8], "little")
    text = content[8 : 8 + length].replace(b'"HERE"', shape.encode())
    if shape.startswith("[0"):
        text = text.replace(b'"data_offsets": [48, 64]', b'"data_offsets": [48, 48]')
    assert refused(len(text).to_bytes(8, "little") + text + content[8 + length :])
