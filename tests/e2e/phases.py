"""usage: phases.py EXPERIMENT FOLDER."""
import json
import os
import pathlib
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

kernels = {path.suffix for path in (dump / "kernels").iterdir()}
assert kernels >= {".mlir", ".ll", ".s", ".o", ".json"}, kernels
description = json.loads(next((dump / "kernels").glob("*.json")).read_text())
assert {"symbol", "grid", "block", "lds_bytes", "arguments"} <= set(description), description

run("primus-train", folder / "x.primus", "--report", folder / "report.json")
report = json.loads((folder / "report.json").read_text())
assert report["allocated_bytes"] == report["ranks"][0]["peak_bytes"] > 0, report
