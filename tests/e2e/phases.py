"""usage: phases.py EXPERIMENT FOLDER."""
import json
import math
import os
import pathlib
import re
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"))
keys = ["train_iters=3", "micro_batch_size=1", "global_batch_size=2", "seq_length=64", "num_layers=2", "eval_iters=0"]


def run(*arguments):
    return subprocess.run([str(argument) for argument in arguments], check=True, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


dump = folder / "dump"
run("primus-compile", experiment, *keys, "-o", folder / "x.primus", "--dump", dump)
names = ["config", "spec", "model", "train", "fp8", "sharded", "placed", "fused", "step"]
files = sorted(path.name for path in dump.iterdir() if path.name[:2].isdigit())
assert [name[3:].split(".")[0] for name in files] == names, files
assert json.loads((dump / "00-config.json").read_text())["framework"] == "megatron"

for file in files[1:]:
    run("primus-compile", "--start-from", dump / file, "-o", folder / "y.primus")
    assert (folder / "x.primus").read_bytes() == (folder / "y.primus").read_bytes(), f"another executable from {file}"
for name in names + ["objects"]:
    assert run("primus-compile", experiment, *keys, "--emit", name).strip(), f"--emit {name} prints nothing"

# Each dump of IR starts with figures and their change, names values after the configuration, spells no location or layout out, and is
# what primus-opt reads.
report = json.loads((dump / "report.json").read_text())
assert [phase["name"] for phase in report["phases"]] == names[2:], report["phases"]
assert list(report["compile_seconds"]) == names + ["objects"], report["compile_seconds"]
before = None
for file, figures in zip(files[2:], report["phases"]):
    text = (dump / file).read_text()
    head = re.match(r"(//.*\n)*", text).group(0)
    assert head.startswith(f"// Phase {int(file[:2])}, {figures['name']}: "), head
    assert f"ops          {figures['ops']}" in head and f"functions    {figures['functions']}" in head, head
    change = figures["ops"] - before["ops"] if before else None
    assert not before or f"({change:+})" in head or change == 0 and "(unchanged)" in head, head
    assert sum(figures["kinds"].values()) == figures["ops"] and figures["bytes"] > 0, figures
    assert figures["flops"] >= (before["flops"] if before else 1), figures
    anonymous = re.findall(r"^ *%\d+ = (?:graph|step)\..*", text, re.M)
    assert "attention.q" in text and not anonymous and " loc(" not in text, (file, anonymous[:3])
    assert text.count("#graph.layout<") <= 8, f"{file} spells layouts out"
    run("primus-opt", dump / file)
    before = figures
planned = report["phases"][-1]
assert planned["peak_planned"] and planned["peak_bytes"] == report["ranks"][0]["peak_bytes"], planned
# The estimate before planning counts what planning saves by computing in place, but is no guess.
assert 1 <= report["phases"][-2]["peak_bytes"] / planned["peak_bytes"] < 1.3, report["phases"][-2]
# What is stopped early is reported as far as it got.
run("primus-compile", experiment, *keys, "--stop-after", "train", "--dump", folder / "short")
assert [phase["name"] for phase in json.loads((folder / "short/report.json").read_text())["phases"]] == ["model", "train"]

kernels = {path.suffix for path in (dump / "kernels").iterdir()}
assert kernels >= {".mlir", ".ll", ".s", ".o", ".json"}, kernels
functions = set(re.findall(r"func\.func private @([\w.]+)", (dump / "07-fused.mlir").read_text())) | {"schedule.accumulate"}
sizes = {"f32": 4, "bf16": 2, "i32": 4}
assert {path.stem for path in (dump / "kernels").glob("*.json")} == {kernel["name"] for kernel in report["kernels"]}
for path in (dump / "kernels").glob("*.json"):
    kernel = json.loads(path.read_text())
    assert all((path.parent / (path.stem + suffix)).stat().st_size for suffix in (".mlir", ".ll", ".s", ".o")), path
    assert kernel["name"] == path.stem and f'\n{kernel["symbol"]}:' in path.with_suffix(".s").read_text(), kernel
    assert all(size > 0 for size in kernel["grid"] + kernel["block"]) and len(kernel["block"]) == 3, kernel
    assert kernel["lds_bytes"] == 0 and kernel["defined_by"] in functions, kernel
    for index, argument in enumerate(kernel["arguments"]):
        shape, strides = argument["shape"], argument["strides"]
        assert argument["kind"] == "pointer" and argument["offset"] == 8 * index and argument["access"] in ("r", "w", "rw"), kernel
        assert strides == [math.prod(shape[i + 1:]) for i in range(len(shape))], kernel
    bytes = sum(math.prod(argument["shape"]) * sizes[argument["dtype"]] for argument in kernel["arguments"])
    assert 0 < kernel["bytes"] <= bytes and any("w" in argument["access"] for argument in kernel["arguments"]), kernel

run("primus-train", folder / "x.primus", "--report", folder / "report.json")
report = json.loads((folder / "report.json").read_text())
assert report["allocated_bytes"] == report["ranks"][0]["peak_bytes"] > 0, report

# A dump goes on for the processor that it was made for.
other = folder / "avx2"
run("primus-compile", experiment, *keys, "--cpu-features", "avx2", "-o", folder / "x.primus", "--dump", other)
run("primus-compile", "--start-from", other / "07-fused.mlir", "-o", folder / "y.primus")
assert (folder / "x.primus").read_bytes() == (folder / "y.primus").read_bytes()
refused = subprocess.run(["primus-compile", "--start-from", other / "07-fused.mlir", "--cpu-features", "avx512f"], env=environment,
                         text=True, stderr=subprocess.PIPE)
assert refused.returncode == 2 and "the dump was made for avx2,bmi2,f16c,fma" in refused.stderr, refused
