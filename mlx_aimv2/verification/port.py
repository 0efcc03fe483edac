"""The port as a whole on this machine, whichever checkpoint it runs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import numpy as np

from mlx_aimv2.device import backend
from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.inference import model

from . import expected, fused, golden
from .check import Check, few, finite, judged, skipped
from .pictures import CASES
from .tolerances import FULL_PRODUCT, GOLDEN, NORMALIZED

PRECISION = "precision"
TF32 = "MLX_ENABLE_TF32"
_SIDE = 256
_PARTS_HINT = "look at the versions with aimv2 doctor, and open an issue with this report"
_PORT_HINT = "open an issue with this report: aimv2 verify --out report.json"


def examine_port() -> Iterator[Check]:
    """Every check that needs no other checkpoint than the built-in one."""
    precision = float32_products()
    yield precision
    yield pixels()
    yield tokens()
    for name in golden.SHA256:
        yield activations(name, is_full=precision.status == "ok")
    yield attention()


def float32_products() -> Check:
    """Whether a float32 product keeps its bits: where it does not, other checks cannot tell."""
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, _SIDE, _SIDE)).astype(np.float32)
    exact = one.astype(np.float64) @ other.astype(np.float64)
    error = np.abs(np.array(mx.array(one) @ mx.array(other)) - exact).max() / np.abs(exact).max()
    values = {"relative_error": finite(float(error))}
    if error <= FULL_PRODUCT:
        return judged(PRECISION, True, f"float32 products are exact to {error:.0e}", values=values)
    return judged(
        PRECISION,
        False,
        f"float32 products are wrong by {error:.0e}: as TF32, they keep 10 bits",
        f"run it again with {TF32}=0 in the environment; Python must see it before MLX",
        values=values,
    )


def pixels() -> Check:
    """Pictures of every kind, made into pixels as transformers makes them."""
    with tempfile.TemporaryDirectory() as name:
        results = dict(expected.pixels(Path(name)))
        wide = next(case for case in CASES if case.name == expected.NORMALIZED)
        made = model.load("demo", tower="image").preprocess(wide.write_to(Path(name)))
    row = np.array(made)[expected.ROW, expected.ROW : expected.ROW + 4]
    difference = float(np.abs(row - np.array(expected.normalized())).max())
    results[f"{wide.name}, normalised"] = difference <= NORMALIZED
    source = f"transformers {_made_by('transformers')}, Pillow {_made_by('pillow')}"
    return _told("pixels", results, "pictures", f"CLIPImageProcessorPil ({source})")


def tokens() -> Check:
    """Hard texts, made into ids as transformers makes them."""
    tokenizer = model.load("demo", tower="text").tokenizer
    results = {ascii(text): is_right for text, is_right in expected.ids(tokenizer)}
    return _told(
        "tokens", results, "texts", f"CLIPTokenizer (transformers {_made_by('transformers')})"
    )


def activations(name: str, *, is_full: bool) -> Check:
    """A golden network's results on the default device, in float32, block by block."""
    title = f"golden {name}"
    if not is_full:
        return skipped(title, "float32 products are not full here")
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = list(golden.agreements(name, Path(folder)))
    except Aimv2Error as error:
        return judged(title, False, str(error), error.hint)
    worst = np.max([agreement.difference for agreement in found])  # NaN where one of them is
    far = [f"{a.what}: off by {a.difference:.1e}" for a in found if not a.difference <= GOLDEN]
    return judged(
        title,
        not far,
        f"{len(found)} results of Apple's own code, at most {worst:.0e} off (limit {GOLDEN:.0e})",
        _PORT_HINT,
        findings=few(far),
        values={agreement.what: finite(agreement.difference) for agreement in found},
    )


def attention() -> Check:
    """Fused attention, forced, against the formula; a CPU has none."""
    if backend() == "CPU":
        return skipped("fused attention", "a CPU computes attention unfused, always")
    found = fused.attentions()
    refused = [f"{a.dtype}, {a.mask}: not fused here ({a.refusal})" for a in found if a.refusal]
    wrong = [
        f"{a.dtype}, {a.mask}: off by {a.difference:.1e}"
        for a in found
        if not a.refusal and not a.is_right
    ]
    # Metal has a kernel for each; cuDNN has none for float32.
    is_right = not wrong and (not refused or backend() == "CUDA") and len(refused) < len(found)
    return judged(
        "fused attention",
        is_right,
        f"{len(found) - len(refused) - len(wrong)} of {len(found)} precisions and masks fused and "
        f"right at head width {fused.HEAD_WIDTH}",
        _PORT_HINT,
        findings=[*wrong, *refused],
        values={f"{a.dtype}, {a.mask}": finite(a.difference) for a in found},
    )


def _told(name: str, results: dict[str, bool], noun: str, source: str) -> Check:
    wrong = [f"{case}: not what is expected" for case, is_right in results.items() if not is_right]
    detail = f"{len(results) - len(wrong)} of {len(results)} {noun} as {source} makes them"
    return judged(name, not wrong, detail, _PARTS_HINT, findings=few(wrong))


def _made_by(package: str) -> str:
    return str(expected.expected()["made_by"][package])
