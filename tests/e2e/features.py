"""usage: features.py EXPERIMENT FOLDER. The same training, compiled for several processors, has the same losses up to rounding."""
import json
import os
import pathlib
import re
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"))
keys = ["train_iters=3", "micro_batch_size=1", "global_batch_size=1", "seq_length=70", "num_layers=2", "eval_iters=1"]
# The widest bf16 instructions multiply the same numbers, so that only the order of sums differs.
tolerance = {"false": 1e-5, "true": 2e-3}


def train(features, bf16):
    executable, metrics = folder / f"{features}-{bf16}.primus", folder / f"{features}-{bf16}.jsonl"
    subprocess.run(["primus-compile", experiment, *keys, f"bf16={bf16}", "--cpu-features", features, "-o", str(executable)], check=True,
                   env=environment, stderr=subprocess.DEVNULL)
    subprocess.run(["primus-train", str(executable), "--metrics", str(metrics)], check=True, env=environment,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [json.loads(line)["loss"] for line in metrics.read_text().splitlines()]


present = re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M).group(1).split()
others = [name for name, flag in {"avx512f": "avx512bw", "avx512bf16": "avx512_bf16"}.items() if flag in present]
for bf16, bound in tolerance.items():
    reference = train("avx2", bf16)
    assert len(reference) == 3, reference
    for features in others + ["native"]:
        for loss, expected in zip(train(features, bf16), reference, strict=True):
            assert abs(loss - expected) < bound * expected, f"{features}, bf16={bf16}: {loss} instead of {expected}"
