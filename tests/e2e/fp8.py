"""usage: fp8.py EXPERIMENT FOLDER. Trains with each recipe of 8-bit products on the CPU and compares the losses with bf16's."""
import json
import os
import pathlib
import re
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"))
keys = ["train_iters=20", "micro_batch_size=1", "global_batch_size=2", "seq_length=128", "num_layers=3", "eval_iters=0", "sample_bytes=0"]


def phase(name, *arguments):
    return subprocess.run(["primus-compile", experiment, *keys, *arguments, "--emit", name], check=True, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout


def losses(name, *arguments, what=(experiment, *keys)):
    metrics = folder / f"{name}.jsonl"
    subprocess.run(["primus-train", *what, *arguments, "--metrics", str(metrics)], check=True, env=environment,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = [json.loads(line)["loss"] for line in metrics.read_text().splitlines()]
    assert len(rows) == 20, rows
    return rows


def mean(rows):
    return sum(rows[-5:]) / 5


def functions(text):
    """The text of each function by its name."""
    return {match[1]: match[0] for match in re.finditer(r"func\.func private @([\w.]+)\(.*?\n  }", text, re.S)}


# A layer that stays in bf16 has functions of its own, without an 8-bit op; the others have 21 products of quantised operands.
pinned = functions(phase("fp8", "fp8=hybrid", "fp8_recipe=tensorwise", "first_last_layers_bf16=true"))
kept, quantised = [name for name in pinned if name.startswith("block.")], [name for name in pinned if name.startswith("block_1.")]
assert {"block.forward", "block.backward"} <= set(kept) and {"block_1.forward", "block_1.backward"} <= set(quantised), list(pinned)
assert not any("f8E" in pinned[name] or "fp8" in pinned[name] for name in kept), "a layer that stays in bf16 has 8-bit ops"
products = sum(pinned[name].count("graph.scaled_matmul") for name in quantised)
assert products == 21, products

# So do the products of weight gradients, where that is asked for; they read what forward has read.
wide = functions(phase("fp8", "fp8=hybrid", "fp8_recipe=tensorwise", "fp8_wgrad=false"))["block.backward"]
assert wide.count("graph.scaled_matmul") == 7 and len(re.findall(r'graph.matmul "bso,bsi->oi" .* tensor<1x128x\d+xbf16>\)', wide)) == 7, wide

reference = losses("bf16")
for recipe in sys.argv[3:]:
    rows = losses(recipe, "fp8=hybrid", f"fp8_recipe={recipe}", "fp8_amax_history_len=4")
    print(f"{recipe}: mean of the last five losses {mean(rows):.4f}, {mean(reference):.4f} in bf16")
    assert rows != reference, f"{recipe} computes what bf16 does"
    assert abs(mean(rows) / mean(reference) - 1) < 0.02, (recipe, rows, reference)

# The comparison sees scales that are 64 times too large.
text, count = re.subn(r"( *)(%\S+) = graph\.quantize (%\S+), (%\S+) : (\S+), (tensor<\S*f32>) ->",
                      r"\1\2.c = graph.constant dense<6.400000e+01> : \6\n\1\2.s = graph.mul \4, \2.c : \6\n\1\2 = graph.quantize \3, \2.s : \5, \6 ->",
                      phase("fp8", "fp8=hybrid", "fp8_recipe=tensorwise"))
assert count > 7, count
dump, executable = folder / "corrupt.mlir", folder / "corrupt.primus"
dump.write_text(text)
subprocess.run(["primus-compile", "--start-from", str(dump), "-o", str(executable)], check=True, env=environment, stdout=subprocess.DEVNULL,
               stderr=subprocess.DEVNULL)
rows = losses("corrupt", what=[str(executable)])
print(f"scales 64 times too large: {mean(rows):.4f}")
assert not abs(mean(rows) / mean(reference) - 1) < 0.02, (rows, reference)
