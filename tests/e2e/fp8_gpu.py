"""usage: fp8_gpu.py EXPERIMENT FOLDER HIP_LIBRARY RECIPE:TARGET... Trains with recipes of 8-bit products on emulated GPUs and on the processor."""
import json
import os
import pathlib
import re
import subprocess
import sys

experiment, folder, library = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"), PRIMUS_HIP_LIBRARY=library)
keys = ["train_iters=2", "micro_batch_size=1", "global_batch_size=1", "seq_length=128", "num_layers=1", "hidden_size=128", "ffn_hidden_size=256",
        "num_attention_heads=1", "num_query_groups=1", "kv_channels=128", "eval_iters=0", "sample_bytes=0", "lr_warmup_iters=0", "fp8=hybrid",
        "fp8_amax_history_len=2"]
encodings = {"gfx942": "fnuz", "gfx950": "ocp"}


def run(*arguments):
    done = subprocess.run([str(argument) for argument in arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)


def train(name, *arguments):
    """The metrics of each step and the compiler's report of the kernels."""
    report, metrics = folder / f"{name}.json", folder / f"{name}.jsonl"
    run("primus-compile", experiment, *keys, *arguments, "-o", folder / f"{name}.primus", "--report", report)
    run("primus-train", folder / f"{name}.primus", "--metrics", metrics)
    return [json.loads(line) for line in metrics.read_text().splitlines()], json.loads(report.read_text())


for recipe, target in (argument.split(":") for argument in sys.argv[4:]):
    expected, _ = train(f"cpu-{recipe}-{target}", f"fp8_recipe={recipe}", f"fp8_encoding={encodings[target]}")
    metrics, report = train(f"{target}-{recipe}", f"fp8_recipe={recipe}", "--target", target)
    assert len(metrics) == len(expected) == 2
    for got, wanted in zip(metrics, expected):
        for key in ["loss", "grad_norm"]:
            assert abs(got[key] / wanted[key] - 1) < 3e-2, (recipe, target, key, got[key], wanted[key])
    short = [kernel["name"] for kernel in report["kernels"] if kernel["spills"] or kernel["scratch_bytes"]]
    assert not short, f"{recipe} on {target}: {short} run out of registers"

    # The GPU multiplies all of the layers' products in 8 bits, and quantises most of their operands where they are computed.
    names, passes = [kernel["name"] for kernel in report["kernels"]], report["fp8"]["extra_passes"]
    assert report["fp8"]["products"] == 21, report["fp8"]
    for extra in passes:
        assert extra["kernel"] in names and extra["bytes"] > 0, extra
        assert "restores" not in extra["why"] and extra["why"] != "transposes a tensor that is quantised in that order", (recipe, target, extra)
    quantised = " ".join(extra["kernel"] for extra in passes)
    assert "residual.grad" in quantised, passes
    if recipe in ["delayed", "tensorwise"]:
        assert not re.search(r"norm\.(fp8|amax)" if recipe == "delayed" else r"norm\.amax", quantised), (recipe, quantised)
