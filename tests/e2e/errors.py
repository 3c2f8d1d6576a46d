"""usage: errors.py EXPERIMENT FOLDER."""
import os
import pathlib
import re
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
work = folder / "work"
work.mkdir()
environment = dict(os.environ, PRIMUS_WORKSPACE=str(work / "output"), PRIMUS_CACHE=str(folder / "cache"))
short = folder / "short.txt"
short.write_text("too short")
(folder / "cyclic.yaml").write_text("extends: [cyclic.yaml]\n")
(folder / "missing.yaml").write_text("extends: [nowhere.yaml]\n")
(folder / "variable.yaml").write_text("work_group: ${NO_SUCH_VARIABLE}\n")
(folder / "syntax.yaml").write_text("a: [1, 2\nb: 3\n")
(folder / "typo.yaml").write_text(pathlib.Path(experiment).read_text().replace("lr_warmup_fraction", "lr_warmup_fracton"))
(folder / "broken.primus").write_bytes(b"\x08\x01\x12garbage")

cases = [
    (["primus-train", folder / "cyclic.yaml"], 2, r"cyclic\.yaml:1.*cyc"),
    (["primus-train", folder / "missing.yaml"], 2, r"missing\.yaml:1.*nowhere\.yaml"),
    (["primus-train", folder / "variable.yaml"], 2, r"variable\.yaml:1.*NO_SUCH_VARIABLE"),
    (["primus-train", folder / "syntax.yaml"], 2, r"syntax\.yaml:\d"),
    (["primus-train", folder / "typo.yaml"], 2, r"typo\.yaml:\d+.*lr_warmup_fracton.*lr_warmup_fraction"),
    (["primus-train", folder / "none.yaml"], 2, r"none\.yaml"),
    (["primus-train", experiment, "num_query_groups=3"], 2, r"num_query_groups"),
    (["primus-train", experiment, "num_layers=many"], 2, r"num_layers"),
    (["primus-train", experiment, "tensor_model_parallel_size=3"], 2, r"tensor_model_parallel_size.*llama-tiny\.yaml:\d+"),
    (["primus-train", experiment, "tensor_model_parallel_size=4", "--ranks", "6"], 2, r"tensor_model_parallel_size"),
    (["primus-train", experiment, "--ranks", "16"], 2, r"global_batch_size"),
    (["primus-train", experiment, "--data", short], 2, r"9 tokens"),
    (["primus-train", folder / "broken.primus"], 3, r"broken\.primus"),
    (["primus-compile", experiment, "--emit", "modle"], 2, r"model"),
    (["primus-compile", experiment, "--target", "gfx000"], 2, r"gfx942"),
    (["primus-compile", experiment, "--cpu-features", "avx2,quantum"], 2, r"quantum"),
    (["primus-compile", experiment, "-o", "/nowhere/at/all/x.primus"], 3, r"/nowhere/at/all"),
]
failures = 0
for command, code, pattern in cases:
    run = subprocess.run([str(part) for part in command], env=environment, cwd=work, text=True, capture_output=True)
    text = run.stdout + run.stderr
    written = list(work.iterdir())
    if run.returncode != code or not re.search(pattern, text, re.IGNORECASE | re.DOTALL) or written:
        failures += 1
        print(f"{command}: exit code {run.returncode} (expected {code}), wrote {written}, said:\n{text}")
sys.exit(1 if failures else 0)
