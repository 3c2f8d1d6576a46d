"""usage: fp8_layouts.py EXPERIMENT FOLDER. Recipes of 8-bit products on several ranks learn as on one; the state of delayed scaling is saved, goes on in
any layout, and keeps nothing of a step that is skipped."""
import json
import math
import os
import pathlib
import shutil
import struct
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_CACHE=str(folder / "cache"), PRIMUS_WORKSPACE=str(folder / "output"), PRIMUS_THREADS="2")
keys = ["train_iters=8", "lr_decay_iters=8", "micro_batch_size=1", "global_batch_size=4", "seq_length=64", "num_layers=2", "hidden_size=64",
        "ffn_hidden_size=128", "eval_iters=0", "sample_bytes=0", "log_interval=1000", "save=checkpoints", "fp8=hybrid", "fp8_amax_history_len=3",
        "fp8_amax_compute_algo=max"]
text = folder / "text.txt"
text.write_text("".join(f"{n} times {n} is {n * n}. " for n in range(2000)))
tensor, fsdp, zero1 = "tensor_model_parallel_size=2", "use_torch_fsdp2=true", "use_distributed_optimizer=true"
context, stages = "context_parallel_size=2", "pipeline_model_parallel_size=2"


def train(name, recipe, ranks, *more, options=(), code=0):
    """The losses of a run in a folder of that name, and what it wrote."""
    work = folder / name
    work.mkdir(exist_ok=True)
    done = subprocess.run(["primus-train", experiment, *keys, f"fp8_recipe={recipe}", *more, "--ranks", str(ranks), "--data", str(text), "--metrics",
                           "metrics.jsonl", *options], cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == code, (name, done.stdout)
    return [json.loads(line)["loss"] for line in (work / "metrics.jsonl").read_text().splitlines()], done.stdout


def read_state(checkpoint):
    """The state of the scales, by its name."""
    content, found = json.loads((checkpoint / "checkpoint.json").read_text())["content"], {}
    for name, tensor in content["tensors"].items():
        if ".fp8." in name:
            part, = tensor["slices"]
            file = part["file"] if isinstance(part["file"], str) else content["files"][part["file"]]["name"]
            data = (checkpoint / file).read_bytes()
            size, = struct.unpack("<Q", data[:8])
            first, last = json.loads(data[8:8 + size])[name]["data_offsets"]
            found[name] = [value for value, in struct.iter_unpack("<f", data[8 + size + first:8 + size + last])]
    return found


def compare(name, losses, expected):
    assert len(losses) == len(expected) == 8, (name, losses)
    worst = max(abs(a / b - 1) for a, b in zip(losses, expected))
    print(f"{name}: the losses differ by {worst:.1e} at most")
    assert worst < 5e-3, (name, losses, expected)


# Each recipe on one rank, and divided in some way.
one = {}
for recipe, (ranks, *layout) in {"tensorwise": (4, tensor, "sequence_parallel=true", zero1), "rowwise": (2, fsdp), "blockwise": (2, stages),
                                 "mxfp8": (2, context), "delayed": (4, tensor, fsdp)}.items():
    one[recipe], _ = train(recipe, recipe, 1)
    losses, _ = train(f"{recipe}-divided", recipe, ranks, *layout)
    compare(f"{recipe} on {ranks} ranks, {' '.join(layout)}", losses, one[recipe])

# The state of delayed scaling: N steps, a checkpoint and N steps more are 2 N steps, to the last bit in the same layout.
train("same", "delayed", 2, fsdp, "exit_interval=4")
shutil.copytree(folder / "same", folder / "other")
whole, _ = train("whole", "delayed", 2, fsdp)
same, _ = train("same", "delayed", 2, fsdp, options=["--resume", "auto"])
other, _ = train("other", "delayed", 2, stages, options=["--resume", "auto"])
assert same == whole, (same, whole)
compare("resumed as a pipeline", other, whole)

# Steps without a gradient norm are skipped. Their largest values are no numbers; scales and history are those of the step before.
diverging = ["lr=1e30", "clip_grad=0", "lr_warmup_iters=0", "check_for_nan_in_loss_and_grad=false"]
train("first", "delayed", 1, *diverging, "train_iters=1")
_, output = train("skipped", "delayed", 1, *diverging, "train_iters=3")
assert output.count("; the step is skipped") == 2, output
before, after = (read_state(folder / name / "checkpoints" / step) for name, step in [("first", "step_00000001"), ("skipped", "step_00000003")])
assert {name.rpartition(".")[2] for name in before} == {"scale", "amax", "history"} and len(before) == 6, list(before)
assert any(not math.isfinite(value) for value in after["layers.0.fp8.amax"]), "the skipped step has met finite values only"
for name in (f"layers.{layer}.fp8.{what}" for layer in range(2) for what in ("scale", "history")):
    assert after[name] == before[name] and any(value > 0 for value in before[name]), (name, before[name], after[name])
