"""Makes tests/goldens/fp8.json: what each recipe of 8-bit products makes of the operands of a linear layer's products.

usage: python fp8.py > fp8.json      (torch 2.7 or later)

Written from the recipes' definitions with torch's own conversions, apart from the compiler. Inputs are bf16 numbers of widely
different sizes, drawn by a linear congruential generator that the test repeats. Values and factors are so many that only
FNV-1a hashes of their bits (and the first factors) are kept.
"""

import json
import math

import torch

SHAPES = {"x": (2, 64, 256), "w": (128, 256), "dy": (2, 64, 128)}
FORMATS = {"ocp": (torch.float8_e4m3fn, torch.float8_e5m2), "fnuz": (torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)}


def draw(name):
    state, bits = {"x": 1, "w": 2, "dy": 3}[name], []
    for _ in range(math.prod(SHAPES[name])):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        r = state >> 48
        bits.append((r & 0x807F) | (112 + (r >> 7 & 15)) << 7)
    bits = torch.tensor([b - 2**16 if b >= 2**15 else b for b in bits], dtype=torch.int16)
    return bits.view(torch.bfloat16).reshape(SHAPES[name]).float()


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def summary(q, factor):
    factor = factor.contiguous()
    raw = factor.view(torch.uint8).flatten().tolist()
    return {"values": fnv(q.contiguous().view(torch.uint8).flatten().tolist()), "shape": list(factor.shape), "factors": fnv(raw),
            "first": factor.float().flatten()[:4].tolist()}


def saturate(x, kind):
    top = torch.finfo(kind).max
    return x.clamp(-top, top).to(kind)


def by_amax(x, amax, kind):
    scale = torch.tensor(torch.finfo(kind).max) / amax.clamp(min=1e-12)
    assert scale.dtype == torch.float32
    spread = scale
    for dim in range(x.dim()):
        spread = spread.repeat_interleave(x.shape[dim] // scale.shape[dim], dim)
    return summary(saturate(x * spread, kind), 1 / scale)


def blocks(x, counts):
    """The largest absolute value of each block."""
    shape = [part for size, count in zip(x.shape, counts) for part in (count, size // count)]
    return x.abs().reshape(shape).amax(dim=tuple(range(1, 2 * x.dim(), 2)))


def mx(x, kind):
    grouped = x.reshape(*x.shape[:-1], -1, 32)
    largest = {torch.float8_e4m3fn: 8, torch.float8_e5m2: 15}[kind]
    exponent = torch.frexp(grouped.abs().amax(-1)).exponent - 1 - largest
    factor = torch.exp2(exponent.float())
    q = saturate(grouped / factor.unsqueeze(-1), kind).reshape(x.shape)
    return summary(q, (exponent + 127).to(torch.uint8).view(torch.float8_e8m0fnu))


def products(recipe, family):
    narrow, wide = FORMATS[family]
    x, w, dy = draw("x"), draw("w"), draw("dy")
    # Contracted: inputs, outputs, tokens.
    if recipe == "tensorwise":
        one = lambda t, kind: by_amax(t, blocks(t, [1] * t.dim()), kind)
        return {"x": one(x, narrow), "w": one(w, narrow), "dy.dgrad": one(dy, wide), "w.dgrad": one(w, narrow), "dy.wgrad": one(dy, wide), "x.wgrad": one(x, narrow)}
    if recipe == "rowwise":
        row = lambda t, kind: by_amax(t, blocks(t, [*t.shape[:-1], 1]), kind)
        column = lambda t, kind: by_amax(t, blocks(t, [*[1] * (t.dim() - 1), t.shape[-1]]), kind)
        return {"x": row(x, narrow), "w": row(w, narrow), "dy.dgrad": row(dy, wide), "w.dgrad": column(w, narrow), "dy.wgrad": column(dy, wide), "x.wgrad": column(x, narrow)}
    last = lambda t: t.permute(2, 0, 1).contiguous()
    if recipe == "blockwise":
        row = lambda t, kind: by_amax(t, blocks(t, [*t.shape[:-1], max(t.shape[-1] // 128, 1)]), kind)
        square = lambda t, kind: by_amax(t, blocks(t, [size // 128 for size in t.shape]), kind)
        return {"x": row(x, narrow), "w": square(w, narrow), "dy.dgrad": row(dy, wide), "w.dgrad": square(w, narrow), "dy.wgrad": row(last(dy), wide), "x.wgrad": row(last(x), narrow)}
    return {"x": mx(x, narrow), "w": mx(w, narrow), "dy.dgrad": mx(dy, wide), "w.dgrad": mx(w.T.contiguous(), narrow), "dy.wgrad": mx(last(dy), wide), "x.wgrad": mx(last(x), narrow)}


cases = [(r, "ocp") for r in ("tensorwise", "rowwise", "blockwise", "mxfp8")] + [(r, "fnuz") for r in ("tensorwise", "rowwise", "blockwise")]
rows = [json.dumps(f"{recipe} {family}") + ": " + json.dumps(products(recipe, family)) for recipe, family in cases]
print("{\n" + ",\n".join(rows) + "\n}")
