"""Compares the result lines of two runs of graph-interpret: compare-results.py A B RELATIVE_TOLERANCE."""
import re
import sys


def read(path):
    lines = [line for line in open(path) if line.startswith("//")]
    return [[float(number) for number in re.findall(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)", line.split("=", 1)[1])] for line in lines]


a, b = read(sys.argv[1]), read(sys.argv[2])
assert a and len(a) == len(b), "different numbers of results"
for index, (x, y) in enumerate(zip(a, b)):
    assert len(x) == len(y) and x, f"result {index}: different sizes"
    scale = max(abs(v) for v in x) or 1.0
    worst = max(abs(u - v) for u, v in zip(x, y)) / scale
    assert worst <= float(sys.argv[3]), f"result {index} differs by {worst:.3g}"
