#!/usr/bin/env python3
"""The compiled step against PyTorch: losses and gradient norms of the first steps, from the same weights and tokens, in fp32.

usage: goldens.py PRIMUS_TRAIN EXPERIMENT GOLDENS.json
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile


def run(train, experiment, case, folder):
    text, metrics = folder / "text.txt", folder / "metrics.jsonl"
    text.write_text(case["text"])
    command = [train, experiment, *case["overrides"], "split=100,0,0", "--data", str(text), "--metrics", str(metrics)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, PRIMUS_WORKSPACE=str(folder)))
    return [json.loads(line) for line in metrics.read_text().splitlines()]


def main():
    train, experiment, goldens = sys.argv[1:]
    failures = 0
    for case in json.loads(pathlib.Path(goldens).read_text())["cases"]:
        with tempfile.TemporaryDirectory() as folder:
            steps = run(train, experiment, case, pathlib.Path(folder))
        assert len(steps) == case["steps"], f"{case['name']}: {len(steps)} steps instead of {case['steps']}"
        worst = 0.0
        for step, loss, norm in zip(steps, case["losses"], case["grad_norms"]):
            worst = max(worst, abs(step["loss"] - loss) / loss, 0.1 * abs(step["grad_norm"] - norm) / norm)
        verdict = "ok" if worst < 1e-5 else "FAILED"
        failures += worst >= 1e-5
        print(f"{case['name']}: {verdict}, largest relative difference of loss (or a tenth of that of the norm) {worst:.2e}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
