"""Each kernel under Triton's interpreter, or on a GPU, against its reference in float64 and the bound stated there."""

from __future__ import annotations

import pytest

torch = pytest.importorskip(
    "torch", reason="torch is not installed (4.7 GB): docs/kernels.md says how to run these tests"
)
triton = pytest.importorskip("triton", reason="triton is not installed")

if not triton.knobs.runtime.interpret and not torch.cuda.is_available():
    pytest.skip("needs TRITON_INTERPRET=1 or a GPU", allow_module_level=True)

from fullbore_runtime.kernels import activation, gemv, norm, reference, rope  # noqa: E402

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"
EPSILON = 1e-6
TYPES = (torch.float16,) if DEVICE == "cpu" else (torch.float16, torch.bfloat16)
"""The interpreter cuts float32 off to bfloat16 where a GPU rounds."""
QUANTISED = (torch.int8,) if DEVICE == "cpu" else (torch.int8, torch.float8_e4m3fn)
"""The interpreter makes 1.0 of 1.999 where FP8 has no digits left: the carry is lost."""


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(7)


def draw(*shape: int, dtype=torch.float16, scale: float = 1.0):
    return (torch.randn(*shape, device=DEVICE) * scale).to(dtype)


def assert_within(actual, expected, bound) -> None:
    error = (actual.double() - expected).abs()
    assert bool((error <= bound).all()), f"off by {(error / bound).max().item():.2f} times the bound"


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("tokens", "width"), [(1, 64), (3, 100), (5, 1024), (2, 4096)])
def test_rms_norm(tokens, width, dtype) -> None:
    x, weight = draw(tokens, width, dtype=dtype), draw(width, dtype=dtype)
    expected = reference.rms_norm(x.double(), weight.double(), EPSILON)
    assert_within(norm.rms_norm(x, weight, EPSILON), expected, reference.rounding_bound(expected, dtype))


def test_rms_norm_of_rows_that_lie_apart() -> None:
    x, weight = draw(4, 3, 128)[:, 1], draw(128)
    expected = reference.rms_norm(x.double(), weight.double(), EPSILON)
    assert_within(norm.rms_norm(x, weight, EPSILON), expected, reference.rounding_bound(expected, torch.float16))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("tokens", "width"), [(1, 64), (3, 100), (2, 4096)])
def test_add_rms_norm(tokens, width, dtype) -> None:
    x, residual, weight = draw(tokens, width, dtype=dtype), draw(tokens, width, dtype=dtype), draw(width, dtype=dtype)
    expected, added = reference.add_rms_norm(x.double(), residual.double(), weight.double(), EPSILON)
    given = residual.clone()
    normed, kept = norm.add_rms_norm(x, residual, weight, EPSILON)
    assert_within(normed, expected, reference.rounding_bound(expected, dtype))
    assert_within(kept, added, reference.rounding_bound(added, dtype))
    assert torch.equal(residual, given)


@pytest.mark.parametrize("dtype", QUANTISED)
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize(("tokens", "width"), [(1, 128), (3, 100), (2, 2048)])
def test_rms_norm_quantise(tokens, width, with_residual, dtype) -> None:
    x, weight = draw(tokens, width), draw(width)
    residual = draw(tokens, width) if with_residual else None
    whole = x.double() + (0 if residual is None else residual.double())
    if residual is None:
        values, scale = norm.rms_norm_quantise(x, weight, EPSILON, dtype)
    else:
        values, scale, added = norm.add_rms_norm_quantise(x, residual, weight, EPSILON, dtype)
        assert_within(added, whole, reference.rounding_bound(whole, torch.float16))
    normed = reference.rms_norm(whole, weight.double(), EPSILON)
    _, expected_scale = reference.rms_norm_quantise(whole, weight.double(), EPSILON, dtype)
    assert_within(scale, expected_scale, expected_scale * 2.0**-18)
    assert values.dtype == dtype
    assert_within(values.double() * scale.double(), normed, reference.quantisation_bound(normed, expected_scale, dtype))


@pytest.mark.parametrize("dtype", QUANTISED)
def test_a_row_of_zeros_is_quantised_to_zeros(dtype) -> None:
    values, scale = norm.rms_norm_quantise(torch.zeros(1, 64, device=DEVICE).half(), draw(64), EPSILON, dtype)
    assert not values.float().any()
    assert scale.item() == pytest.approx(reference.SMALLEST_SCALE[dtype])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("tokens", "width"), [(1, 64), (3, 1500), (2, 1024)])
def test_silu_mul(tokens, width, dtype) -> None:
    x = draw(tokens, 2 * width, dtype=dtype, scale=3)
    expected = reference.silu_mul(x.double())
    assert_within(activation.silu_mul(x), expected, reference.rounding_bound(expected, dtype))


def test_silu_of_extreme_values_is_no_nan() -> None:
    x = torch.tensor([[-60000.0, 60000.0, -20.0, 0.0, 1.0, 1.0, 1.0, 1.0]], device=DEVICE).half()
    assert activation.silu_mul(x).tolist()[0] == pytest.approx([0.0, 60000.0, -20.0 / (1 + 485165195.4), 0.0], abs=1e-7)


@pytest.mark.parametrize(("q_heads", "kv_heads", "size"), [(4, 2, 64), (5, 1, 32), (8, 8, 128)])
@pytest.mark.parametrize("heads", [1, 4])
def test_rope_and_write(q_heads, kv_heads, size, heads) -> None:
    tokens = 5
    qkv = draw(tokens, q_heads + 2 * kv_heads, size)
    q, k, v = qkv.split((q_heads, kv_heads, kv_heads), dim=1)
    given_q, given_k, given_v = q.clone(), k.clone(), v.clone()
    angles = torch.outer(torch.arange(64.0), 10000.0 ** (-torch.arange(0, size, 2) / size))
    cos_sin = torch.cat((angles.cos(), angles.sin()), dim=-1).to(DEVICE, torch.float16)
    positions = torch.tensor([0, 63, 7, 7, 1], device=DEVICE)
    slots = torch.tensor([17, 0, -1, 31, 5], device=DEVICE)
    cache = torch.full((2, 2, 16, kv_heads, size), 9.0, device=DEVICE).half()
    rope.rope_and_write(q, k, v, positions, cos_sin, slots, cache[0], cache[1], heads=heads)
    for got, given in ((q, given_q), (k, given_k)):
        expected = reference.rope(given.double(), positions, cos_sin.double())
        magnitudes = given.double().abs() + given.double().abs().roll(size // 2, dims=-1)
        assert_within(got, expected, reference.sum_bound(expected, magnitudes, torch.float16))
    assert torch.equal(v, given_v)
    wanted = torch.full_like(cache, 9.0)
    reference.write_cache(wanted[0], k, slots)
    reference.write_cache(wanted[1], v, slots)
    assert torch.equal(cache, wanted)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("tokens", [1, 2, 5, 17])
@pytest.mark.parametrize(("rows", "columns"), [(48, 256), (33, 200)])
def test_linear(tokens, rows, columns, dtype) -> None:
    x, weight = draw(tokens, columns, dtype=dtype), draw(rows, columns, dtype=dtype)
    expected = reference.linear(x.double(), weight.double())
    magnitudes = reference.linear(x.double().abs(), weight.double().abs())
    actual = gemv.linear(x, weight, rows=16, block=128, warps=4)
    assert_within(actual, expected, reference.sum_bound(expected, magnitudes, dtype))


@pytest.mark.parametrize("scales", [1, 33])
@pytest.mark.parametrize("tokens", [1, 5])
def test_linear_of_fp8_weights(tokens, scales) -> None:
    rows, columns = 33, 200
    x, scale = draw(tokens, columns), draw(scales, scale=0.1).float().abs()
    weight = draw(rows, columns, scale=100.0).to(torch.float8_e4m3fn)
    plain = weight.double() * scale.double().view(-1, 1)
    expected = reference.linear(x.double(), plain)
    actual = gemv.linear(x, weight, rows=16, block=128, warps=4, scale=scale)
    magnitudes = reference.linear(x.double().abs(), plain.abs())
    assert_within(actual, expected, reference.sum_bound(expected, magnitudes, torch.float16))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize(("rows", "columns", "group"), [(24, 512, 128), (17, 384, 64)])
def test_linear_packed(rows, columns, group, zeros, bits) -> None:
    x = draw(1, columns)
    values = torch.randint(0, 2**bits, (rows, columns), device=DEVICE)
    scale = draw(rows, columns // group, scale=0.1)
    zero = torch.randint(0, 2**bits, scale.shape, device=DEVICE).half() if zeros else None
    weight = gemv.pack(values, scale, zero, bits)
    origin = torch.full_like(scale, 2 ** (bits - 1)) if zero is None else zero
    plain = reference.dequantise(values.double(), scale.double(), origin.double())
    expected = reference.linear(x.double(), plain)
    actual = gemv.linear_packed(x, weight, rows=16, block=32, warps=4)
    # What the float32 trick adds and takes away is larger than the weights themselves.
    largest = scale.double().abs().repeat_interleave(group, 1) * 2 ** (bits + 2)
    bound = reference.sum_bound(expected, reference.linear(x.double().abs(), largest), torch.float16)
    assert_within(actual, expected, bound)


@pytest.mark.parametrize("bits", [4, 8])
def test_quantise_is_within_half_a_step(bits) -> None:
    weight = draw(8, 256)
    values, scale = gemv.quantise(weight, bits, 64)
    back = reference.dequantise(values.double(), scale.double(), torch.full_like(scale, 2 ** (bits - 1)).double())
    assert_within(back, weight.double(), scale.double().repeat_interleave(64, 1) * (0.5 + 2.0**-3))


def test_a_group_of_broken_words_is_refused() -> None:
    with pytest.raises(ValueError, match="not whole words"):
        gemv.pack(torch.zeros(1, 12, dtype=torch.uint8), torch.ones(1, 2), None, 4)
