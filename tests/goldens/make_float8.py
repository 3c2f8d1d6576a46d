#!/usr/bin/python3
"""The numbers of 8-bit floats, for tests/codegen/Float8Numbers.h, as PyTorch reads them.

    tests/goldens/make_float8.py > tests/goldens/float8.inc
"""
import torch

FORMATS = {
    "f8E4M3FN": torch.float8_e4m3fn,
    "f8E5M2": torch.float8_e5m2,
    "f8E4M3FNUZ": torch.float8_e4m3fnuz,
    "f8E5M2FNUZ": torch.float8_e5m2fnuz,
    "f8E8M0FNU": torch.float8_e8m0fnu,
}


def spell(number):
    if number != number:
        return "NAN"
    if abs(number) == float("inf"):
        return "-INFINITY" if number < 0 else "INFINITY"
    mantissa, _, exponent = number.hex().partition("p")
    return mantissa.rstrip("0").rstrip(".") + "p" + str(int(exponent))


print("// Made by tests/goldens/make_float8.py: a format's name and what its 256 codes stand for.")
for name, dtype in FORMATS.items():
    numbers = torch.arange(256, dtype=torch.uint8).view(dtype).double().tolist()
    print(f'{{"{name}",\n {{')
    for first in range(0, 256, 8):
        print("  " + ", ".join(map(spell, numbers[first:first + 8])) + ",")
    print(" }},")
