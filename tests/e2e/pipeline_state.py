"""usage: pipeline_state.py EXPERIMENT FOLDER. Trains a tiny model with tied embeddings in several layouts, pipelines among them. Every rank allocates what
the report says of its stage; initial weights are the same to the bit; a run that one layout began goes on in any other as if nothing had been."""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_CACHE=str(folder / "cache"), PRIMUS_WORKSPACE=str(folder / "output"), PRIMUS_THREADS="2")
keys = ["micro_batch_size=1", "global_batch_size=4", "seq_length=32", "num_layers=4", "hidden_size=32", "ffn_hidden_size=64", "bf16=false", "train_iters=8",
        "lr_decay_iters=8", "eval_interval=0", "eval_iters=0", "sample_bytes=0", "log_interval=1000", "save=checkpoints",
        "untie_embeddings_and_output_weights=false"]
layouts = {"one": (1, []), "tensor": (2, ["tensor_model_parallel_size=2"]), "stages": (2, ["pipeline_model_parallel_size=2"]),
           "interleaved": (4, ["pipeline_model_parallel_size=2", "num_virtual_stages_per_pipeline_rank=2", "use_torch_fsdp2=true"])}
text = folder / "text.txt"
text.write_text("".join(f"{n} times {n} is {n * n}. " for n in range(2000)))


def train(name, layout, *options, more=()):
    """The losses of a run of that layout, in a folder of that name."""
    work = folder / name
    work.mkdir(exist_ok=True)
    ranks, sizes = layouts[layout]
    done = subprocess.run(["primus-train", experiment, *keys, *sizes, *more, "--ranks", str(ranks), "--data", str(text), "--metrics", "metrics.jsonl",
                           "--report", "report.json", *options], cwd=work, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (name, done.stdout, done.stderr)
    return [json.loads(line)["loss"] for line in (work / "metrics.jsonl").read_text().splitlines()]


def read_parameters(checkpoint):
    """Bits of every element, by tensor and place."""
    content = json.loads((checkpoint / "checkpoint.json").read_text())["content"]
    found = {}
    for name, tensor in content["tensors"].items():
        if tensor["role"] != "parameter":
            continue
        for part in tensor["slices"]:
            file = part["file"] if isinstance(part["file"], str) else content["files"][part["file"]]["name"]
            data = (checkpoint / file).read_bytes()
            size, = struct.unpack("<Q", data[:8])
            first, last = json.loads(data[8:8 + size])[name]["data_offsets"]
            for number, (bits,) in enumerate(struct.iter_unpack("<I", data[8 + size + first:8 + size + last])):
                place = []
                for begin, length in zip(reversed(part["begin"]), reversed(part["shape"])):
                    place.insert(0, begin + number % length)
                    number //= length
                assert (name, *place) not in found, f"{name} is there twice at {place}"
                found[name, *place] = bits
    return found


expected = train("reference", "one")
assert len(expected) == 8
for saver in layouts:
    assert len(train(f"from-{saver}", saver, more=["exit_interval=4"])) == 4
for saver, loader in [("stages", "one"), ("one", "stages"), ("stages", "tensor"), ("tensor", "interleaved"), ("interleaved", "stages")]:
    name = f"from-{saver}-to-{loader}"
    shutil.copytree(folder / f"from-{saver}", folder / name)
    losses = train(name, loader, "--resume", "auto")
    worst = max(abs(a - b) for a, b in zip(losses, expected, strict=True))
    assert worst < 1e-5, (name, losses, expected)

# Each rank allocates, to the byte, what the report says of its stage. Stages are the outermost axis.
for name, (ranks, sizes) in layouts.items():
    report = json.loads((folder / f"from-{name}" / "report.json").read_text())
    stages = report["ranks"]
    assert [stage["stage"] for stage in stages] == list(range(len(stages))) and sum(stage["count"] for stage in stages) == ranks, stages
    assert len(stages) == (2 if "pipeline_model_parallel_size=2" in sizes else 1), stages
    allocated = [run["allocated_bytes"] for run in report.get("rank_runs", [report])]
    assert allocated == [stage["peak_bytes"] for stage in stages for _ in range(stage["count"])], (name, allocated, stages)
    assert len(stages) == 1 or {sum["kind"] for sum in stages[0]["communication"]} >= {"send", "receive"}, stages[0]

# A step without a learning rate leaves the initial weights.
initial = {name: read_parameters(next((folder / f"initial-{name}" / "checkpoints").glob("step_*"))) for name in layouts
           if train(f"initial-{name}", name, more=["exit_interval=1", "lr=0", "min_lr=0", "lr_warmup_fraction=None"])}
assert len(initial["one"]) > 40000
for name in layouts:
    assert initial[name] == initial["one"], f"{name} begins with other weights"
