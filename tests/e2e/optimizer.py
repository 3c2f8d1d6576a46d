"""usage: optimizer.py EXPERIMENT FOLDER. Steps without a gradient norm end the run or are skipped; moments may be kept in bf16."""
import json
import os
import pathlib
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"))
small = ["train_iters=4", "micro_batch_size=1", "global_batch_size=2", "seq_length=32", "num_layers=2", "eval_iters=0", "sample_bytes=0"]
metrics, report = folder / "metrics.jsonl", folder / "report.json"


def train(*keys, code=0):
    run = subprocess.run(["primus-train", experiment, *small, *keys, "--metrics", str(metrics), "--report", str(report)], env=environment,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == code, (run.returncode, run.stdout)
    return run.stdout, [json.loads(line) for line in metrics.read_text().splitlines()]


# The first step takes the weights beyond all bounds, so that nothing is a number in the second one.
diverging = ["lr=1e30", "clip_grad=0", "lr_warmup_iters=0"]
text, steps = train(*diverging, code=3)
assert "step 2 is " in text and "; first: '" in text and " is NaN at [" in text and "smaller learning rate" in text, text
assert len(steps) == 2 and steps[1]["grad_norm"] is None, steps
text, steps = train(*diverging, "check_for_nan_in_loss_and_grad=false")
assert text.count("; the step is skipped") == 3 and text.count("; first: '") == 1, text
assert [step["grad_norm"] is None for step in steps] == [False, True, True, True], steps

_, wide = train()
expected = json.loads(report.read_text())["ranks"][0]["optimizer_bytes"]
_, narrow = train("use_precision_aware_optimizer=true", "exp_avg_dtype=bf16", "exp_avg_sq_dtype=bf16")
assert json.loads(report.read_text())["ranks"][0]["optimizer_bytes"] * 2 == expected, expected
losses = [[step["loss"] for step in steps] for steps in (wide, narrow)]
assert losses[0] != losses[1] and all(abs(a - b) < 1e-2 * a for a, b in zip(*losses, strict=True)), losses
