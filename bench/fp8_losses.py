"""Trains a small Llama (2.9M parameters, 1,024 tokens a step) in bf16 and with each recipe of 8-bit products and compares losses.

usage: PATH=build/bin:$PATH python3 bench/fp8_losses.py [--steps 200] [--seeds 1,2,3] [--recipes tensorwise,...] [--corrupt]

The text is that of Debian's licences, which every machine of one release has alike. A run has a thread of its own, one run a core.
Prints for each recipe the mean loss of all seeds' last quarters of the steps and its ratio to bf16's, and how many products of
quantised operands the step has. Exits with 1 if one is further than 1 % from bf16, or if no product is quantised. --corrupt
multiplies every scale by 64 in the compiled phase, which must be noticed.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parent.parent
parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--seeds", default="1,2,3")
parser.add_argument("--recipes", default="tensorwise,rowwise,blockwise,mxfp8,delayed")
parser.add_argument("--corrupt", action="store_true")
options = parser.parse_args()
folder = pathlib.Path(tempfile.mkdtemp())
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder))
experiment = root / "configs/experiments/cpu/llama-tiny.yaml"
licences = pathlib.Path("/usr/share/common-licenses")
text_file = folder / "licences.txt"
text_file.write_text("".join(path.read_text(errors="replace") for path in sorted(licences.iterdir()) if not path.is_symlink()))


def corrupt(text):
    """Scales 64 times too large. Factors stay, so that what is restored is too large, or cut off."""
    lines = []
    for number, line in enumerate(text.splitlines()):
        if match := re.match(r"(.* = graph\.quantize %\S+, )(%\S+)( : tensor<\S+>, )(tensor<\S*f32>)(.*)", line):
            start, scale, middle, kind, end = match.groups()
            lines += [f"%c{number} = graph.constant dense<6.400000e+01> : {kind}", f"%s{number} = graph.mul {scale}, %c{number} : {kind}"]
            line = f"{start}%s{number}{middle}{kind}{end}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def train(name, *keys):
    """The losses of a run, and its number of products of quantised operands per layer. The learning rate is a third of the experiment's own, at
    which bf16 ends worse and recipes further from it: at 0.991 to 1.017 of its loss."""
    arguments = [str(experiment), f"train_iters={options.steps}", "micro_batch_size=4", "global_batch_size=4", "seq_length=256", "num_layers=4",
                 "hidden_size=256", "ffn_hidden_size=640", "lr=1e-3", "min_lr=1e-4", "eval_iters=0", "sample_bytes=0", "exit_duration_in_mins=None",
                 f"train_data_path={text_file}", "split=100,0,0", *keys]
    dump, metrics, executable = folder / f"{name}.mlir", folder / f"{name}.jsonl", folder / f"{name}.primus"
    text = subprocess.run(["primus-compile", *arguments, "--emit", "fp8"], check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout
    if options.corrupt:
        text = corrupt(text)
    dump.write_text(text)
    subprocess.run(["primus-compile", "--start-from", str(dump), "-o", str(executable)], check=True, env=environment)
    subprocess.run(["primus-train", str(executable), "--threads", "1", "--metrics", str(metrics)], check=True, env=environment, stdout=subprocess.DEVNULL)
    return [json.loads(line)["loss"] for line in metrics.read_text().splitlines()], text.count("graph.scaled_matmul")


def mean(values):
    return sum(values) / len(values)


def start(recipe, *keys):
    """The runs of all seeds, which end some time."""
    return [pool.submit(train, f"{recipe}-{seed}", f"seed={seed}", *keys) for seed in options.seeds.split(",")]


pool = concurrent.futures.ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0)))
started = {recipe: start(recipe, *(["fp8=hybrid", f"fp8_recipe={recipe}", "fp8_amax_history_len=16"] if recipe != "bf16" else []))
           for recipe in ["bf16", *options.recipes.split(",")]}
failed = False
for recipe, runs in started.items():
    losses = [mean(run.result()[0][-(options.steps // 4):]) for run in runs]
    products = runs[0].result()[1]
    if recipe == "bf16":
        references = losses
        continue
    ratio = mean(losses) / mean(references)
    each = ", ".join(f"{loss / reference:.4f}" for loss, reference in zip(losses, references))
    print(f"{recipe}: {products} products of quantised operands in a layer, loss {mean(losses):.4f}, {ratio:.4f} of bf16's {mean(references):.4f} (by seed {each})", flush=True)
    failed |= products == 0 or abs(ratio - 1) > 0.01
sys.exit(failed)
