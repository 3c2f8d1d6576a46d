"""usage: determinism.py EXPERIMENT FOLDER. Runs the same training in several ways and compares the metrics bit for bit."""
import json
import os
import pathlib
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"))
keys = ["train_iters=4", "micro_batch_size=1", "global_batch_size=2", "seq_length=100", "num_layers=2", "eval_iters=1"]


def run(name, arguments):
    metrics = folder / f"{name}.jsonl"
    subprocess.run(["primus-train", *arguments, "--metrics", str(metrics)], check=True, env=environment, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert len(lines) == 4, lines
    return [[line[field] for field in ("step", "loss", "grad_norm", "learning_rate", "tokens")] for line in lines]


executables = [folder / "a.primus", folder / "b.primus"]
for path in executables:
    subprocess.run(["primus-compile", experiment, *keys, "-o", str(path)], check=True, env=environment, stderr=subprocess.DEVNULL)
assert executables[0].read_bytes() == executables[1].read_bytes(), "equal inputs gave different executables"
assert str(folder).encode() not in executables[0].read_bytes(), "the executable holds a path"

reference = run("one", [experiment, *keys, "--threads", "1"])
for name, arguments in {"again": [experiment, *keys, "--threads", "1"], "two": [experiment, *keys, "--threads", "2"],
                        "events": [experiment, *keys, f"tensorboard_dir={folder / 'events'}"],
                        "ahead": [str(executables[0]), "--threads", "2"]}.items():
    assert run(name, arguments) == reference, f"'{name}' differs"
assert len(list((folder / "events").glob("events.out.tfevents.*"))) == 1, "there are no events for TensorBoard"
