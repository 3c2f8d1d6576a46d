"""usage: resume.py EXPERIMENT FOLDER. Kills a run 20 times at random moments, half of them while it writes a checkpoint, and compares what it
has learned in the end with an undisturbed run, bit for bit."""
import json
import os
import pathlib
import random
import subprocess
import sys
import time

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_CACHE=str(folder / "cache"), PRIMUS_WORKSPACE=str(folder / "output"), PRIMUS_THREADS="1")
# Checkpoints lie in the folder in which a run is started.
keys = ["train_iters=200", "micro_batch_size=2", "global_batch_size=4", "seq_length=32", "num_layers=1", "hidden_size=32", "ffn_hidden_size=64",
        "eval_interval=20", "eval_iters=1", "sample_bytes=0", "save=checkpoints", "save_interval=1", "keep_latest_k=3", "log_interval=1000"]
text = folder / "text.txt"
text.write_text("".join(f"{n} times {n} is {n * n}. " for n in range(2000)))
executable = folder / "x.primus"
subprocess.run(["primus-compile", experiment, *keys, "-o", str(executable)], check=True, env=environment, stderr=subprocess.DEVNULL)
just_in_time, ahead_of_time = [experiment, *keys], [str(executable)]


def start(name, what, *options):
    work = folder / name
    work.mkdir(exist_ok=True)
    return subprocess.Popen(["primus-train", *what, "--data", str(text), "--metrics", "metrics.jsonl", *options], cwd=work, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return output


def result(name):
    rows = [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in ("step_seconds", "tokens_per_second")} for row in rows]


def progress(checkpoints):
    """The newest finished step, and whether a checkpoint is being written."""
    names = [path.name for path in checkpoints.iterdir()] if checkpoints.exists() else []
    return max((int(name[5:]) for name in names if name[5:].isdigit()), default=0), any(name.endswith(".tmp") for name in names)


def kill(process, checkpoints, steps, seconds, while_writing):
    """Kills the process some steps and seconds after it has begun to step: not by the clock alone, so that a fast machine cannot finish the run
    and a slow one is not always killed while it starts."""
    first = progress(checkpoints)[0]
    while process.poll() is None:
        step, writing = progress(checkpoints)
        if step >= first + steps and writing >= while_writing:
            break
    time.sleep(seconds)
    process.kill()
    process.communicate()
    assert process.returncode == -9, "the run ended before it was killed"


finish(start("whole", ahead_of_time))
expected = result("whole")
assert [row["step"] for row in expected] == list(range(1, 201))
assert sum("validation_loss" in row for row in expected) == 10

moments = random.Random(20)
checkpoints = folder / "killed" / "checkpoints"
written = 0
for life in range(20):
    process = start("killed", just_in_time if life == 10 else ahead_of_time, "--resume", "auto")
    # At most 7 steps of 200 in each of 20 lives, and one or two in the time that follows.
    if life % 2:
        kill(process, checkpoints, moments.randrange(7), moments.uniform(0, 0.002), while_writing=False)
    else:
        kill(process, checkpoints, moments.randrange(7), 0, while_writing=True)
    written += progress(checkpoints)[1]
output = finish(start("killed", just_in_time, "--resume", "auto"))
assert result("killed") == expected, "the killed run has learned something else"
print(f"20 kills, {written} of them while a checkpoint was written; the last life: {output}")
assert written > 0
names = sorted(path.name for path in checkpoints.iterdir())
assert names == ["step_00000198", "step_00000199", "step_00000200"], names
