"""usage: gpu_ranks.py EXPERIMENT FOLDER HIP_LIBRARY RCCL_LIBRARY. Two emulated GPUs share data, matrices or layers, with a timeline. One that fails or
hangs amid a pipeline ends the run."""
import json
import os
import pathlib
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"), PRIMUS_HIP_LIBRARY=sys.argv[3],
                   PRIMUS_RCCL_LIBRARY=sys.argv[4], PRIMUS_EMULATED_HIP="devices=2")
keys = ["train_iters=2", "micro_batch_size=1", "global_batch_size=2", "seq_length=32", "num_layers=1", "hidden_size=64", "ffn_hidden_size=96",
        "num_attention_heads=2", "num_query_groups=2", "kv_channels=32", "eval_iters=0", "sample_bytes=0", "lr_warmup_iters=0"]


def run(*arguments):
    done = subprocess.run([str(argument) for argument in arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, (arguments, done.stdout)


def train(name, *arguments):
    executable, metrics, trace = folder / f"{name}.primus", folder / f"{name}.jsonl", folder / f"{name}.json"
    run("primus-compile", experiment, *keys, *arguments, "-o", executable)
    run("primus-train", executable, "--metrics", metrics, "--profile", trace)
    events = [event for event in json.loads(trace.read_text())["traceEvents"] if event["ph"] == "X"]
    return [json.loads(line) for line in metrics.read_text().splitlines()], events


expected, _ = train("cpu")
layouts = {"data": ("gfx942", []), "tensor": ("gfx950", ["tensor_model_parallel_size=2"]),
           "pipeline": ("gfx942", ["pipeline_model_parallel_size=2", "pipeline_model_parallel_layout=Et|L"])}
for name, (target, layout) in layouts.items():
    metrics, events = train(name, *layout, "--ranks", "2", "--target", target)
    assert len(metrics) == len(expected) == 2
    for got, wanted in zip(metrics, expected):
        for key in ["loss", "grad_norm"]:
            assert abs(got[key] / wanted[key] - 1) < 1e-2, (name, key, got[key], wanted[key])
    # Both ranks ran kernels, and met.
    for category in ["kernel", "collective", "program"]:
        assert {event["pid"] for event in events if event["cat"] == category} == {0, 1}, (name, category)
    callers = {(event["args"].get("function"), event["args"].get("instance")) for event in events if event["cat"] == "kernel"}
    assert {("block.forward", "layers.0"), ("block.backward", "layers.0")} <= callers, (name, callers)

# The twelfth launch of the second GPU is in its first microbatch.
for fault, message in [("fault_launch=12", "rank 1 failed: GPU 1 (emulated)"), ("hang_launch=12", "rank 1 did not come to")]:
    environment["PRIMUS_EMULATED_HIP"] = f"devices=2,fault_device=1,{fault}"
    done = subprocess.run(["primus-train", str(folder / "pipeline.primus"), "--timeout", "2"], env=environment, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 3 and message in done.stdout, (fault, done.returncode, done.stdout)
