"""usage: gpu_registers.py CONFIGS FOLDER. No kernel of real models runs out of registers."""
import json
import os
import pathlib
import subprocess
import sys

configs, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"))
models = [("gfx942", "mi300x/llama3.1_8B-BF16", ["tensor_model_parallel_size=8"]), ("gfx950", "mi355x/gpt2_124M-BF16", []),
          ("gfx950", "mi355x/llama3.1_8B-FP8", ["tensor_model_parallel_size=8"])]

for target, model, keys in models:
    experiment = configs / f"{model}-pretrain.yaml"
    done = subprocess.run(["primus-compile", str(experiment), "num_layers=2", *keys, "--target", target, "-o", str(folder / "x.primus"),
                           "--report", str(folder / "report.json")], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    kernels = json.loads((folder / "report.json").read_text())["kernels"]
    short = {kernel["name"]: (kernel["spills"], kernel["scratch_bytes"]) for kernel in kernels if kernel["spills"] or kernel["scratch_bytes"]}
    assert len(kernels) > 50 and not short, (target, model, short)
    assert "short of registers" not in done.stderr, done.stderr
