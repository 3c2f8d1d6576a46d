"""usage: layouts.py EXPERIMENT FOLDER. Trains a tiny model in one layout after the other, each life going on from the checkpoint of the one before, and
compares with undisturbed runs: to the last bit in an equal layout, within 1e-5 in another. Then kills ranks while they write, as threads and as processes."""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_CACHE=str(folder / "cache"), PRIMUS_WORKSPACE=str(folder / "output"), PRIMUS_THREADS="2",
                   OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1")
# Checkpoints lie in the folder in which a run is started. The vocabulary is padded for the ranks that share it.
keys = ["train_iters=56", "micro_batch_size=1", "global_batch_size=4", "seq_length=32", "num_layers=2", "hidden_size=32", "ffn_hidden_size=64",
        "bf16=false", "eval_interval=0", "sample_bytes=0", "save=checkpoints", "save_interval=1000", "keep_latest_k=3", "log_interval=1000"]
layouts = {
    "one": (1, []),
    "replicated": (2, []),
    "zero1": (4, ["use_distributed_optimizer=true"]),
    "fsdp": (2, ["use_torch_fsdp2=true"]),
    "tensor": (2, ["tensor_model_parallel_size=2"]),
    "context": (2, ["context_parallel_size=2"]),
    "mixed": (4, ["tensor_model_parallel_size=2", "sequence_parallel=true", "use_distributed_optimizer=true"]),
}
text = folder / "text.txt"
text.write_text("".join(f"{n} times {n} is {n * n}. " for n in range(2000)))


def compile(name, layout, *more):
    ranks, parallel = layouts[layout]
    path = folder / f"{name}.primus"
    subprocess.run(["primus-compile", experiment, *keys, *parallel, *more, "--ranks", str(ranks), "-o", str(path)], check=True, env=environment,
                   stdout=subprocess.DEVNULL)
    return path


def start(name, executable, *options, launcher=()):
    work = folder / name
    work.mkdir(exist_ok=True)
    return subprocess.Popen([*launcher, "primus-train", str(executable), "--data", str(text), "--metrics", "metrics.jsonl", *options], cwd=work,
                            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def train(name, executable, *options):
    process = start(name, executable, *options)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return output


def result(name):
    rows = [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in ("step_seconds", "tokens_per_second")} for row in rows]


def compare(name, reference):
    worst = 0
    rows, expected = result(name), result(reference)
    assert [row["step"] for row in rows] == [row["step"] for row in expected], rows
    for row, other in zip(rows, expected):
        worst = max(worst, abs(row["loss"] - other["loss"]))
    print(f"{name}: the losses differ from '{reference}' by {worst:.2e} at most")
    assert worst < 1e-5, f"{name} differs from {reference}"


# The same layout, in lives of 8 steps, and undisturbed.
lives = {layout: compile(f"{layout}-lives", layout, "exit_interval=8") for layout in layouts}
train("one", compile("one", "one"))
for layout in ("zero1", "mixed"):
    train(layout, compile(layout, layout))
    for life in range(7):
        train(f"{layout}-lives", lives[layout], "--resume", "auto")
    assert result(f"{layout}-lives") == result(layout), f"{layout}: lives of 8 steps have learned something else"
    compare(layout, "one")

# Every layout goes on from another.
order = list(layouts)
for seed in range(2):
    random.Random(seed).shuffle(order)
    for layout in order:
        train(f"chain{seed}", lives[layout], "--resume", "auto")
    print(" -> ".join(order))
    compare(f"chain{seed}", "one")

# All ranks together write the text that one rank does.
texts = {}
for layout in ("one", "fsdp", "context", "mixed"):
    output = train(f"{layout}-text", compile(f"{layout}-text", layout, "train_iters=2", "sample_bytes=40"))
    texts[layout] = output.split("--- prompt\n")[1]
assert len(set(texts.values())) == 1, texts

# Whatever its layout, a checkpoint holds the same tensors.
inspections = [subprocess.run(["primus-checkpoint", "inspect", str(folder / name / "checkpoints"), "--json"], check=True, env=environment,
                              stdout=subprocess.PIPE, text=True).stdout for name in ("one", "mixed")]
one, mixed = ({t["name"]: (t["dtype"], t["role"], t["shape"][1:]) for t in json.loads(text)["tensors"]} for text in inspections)
assert one == mixed


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def kill(process, checkpoints, steps, one_of_many):
    """Kills the process, or one of its children, some steps after it has begun, while it writes a checkpoint."""
    def progress():
        names = [path.name for path in checkpoints.iterdir()] if checkpoints.exists() else []
        newest = max((int(name[5:]) for name in names if name[5:].isdigit()), default=0)
        # What an earlier life has left is older.
        return newest, any(name.startswith(".step_") and name[6:14].isdigit() and int(name[6:14]) > newest for name in names)
    first = progress()[0]
    while process.poll() is None:
        step, writing = progress()
        if step >= first + steps and writing:
            break
    assert process.poll() is None, f"the run ended before it was killed: {process.communicate()[0]}"
    os.kill(random.choice(children(process.pid)) if one_of_many else process.pid, signal.SIGKILL)
    begin = time.monotonic()
    output = process.communicate(timeout=60)[0]
    assert process.returncode != 0, f"nobody has noticed: {output}"
    return time.monotonic() - begin


killed = {layout: compile(f"{layout}-kill", layout, "save_interval=1") for layout in ("zero1", "mixed", "fsdp")}
random.seed(20)
for name, deaths, is_mpi in ("killed-threads", 6, False), ("killed-processes", 3, True):
    for death in range(deaths):
        layout = list(killed)[death % len(killed)]
        launcher = ["mpirun", "-n", str(layouts[layout][0])] if is_mpi else []
        process = start(name, killed[layout], "--resume", "auto", "--timeout", "20", launcher=launcher)
        seconds = kill(process, folder / name / "checkpoints", random.randint(1, 4), is_mpi)
        print(f"{name}: '{layout}' was gone {seconds:.1f} s after a rank was killed")
        assert seconds < 25
    train(name, killed["mixed"], "--resume", "auto")
    compare(name, "one")
