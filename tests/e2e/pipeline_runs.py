"""usage: pipeline_runs.py EXPERIMENT FOLDER. Trains a tiny model in pipelines of several schedules, alone and composed with other axes, and compares
the losses with those of one rank: within 1e-5. The same run twice gives equal bits; so do threads and processes. A silent or killed rank ends all."""
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
keys = ["train_iters=20", "micro_batch_size=1", "global_batch_size=4", "seq_length=32", "num_layers=4", "hidden_size=32", "ffn_hidden_size=64",
        "bf16=false", "eval_interval=0", "eval_iters=0", "sample_bytes=0", "log_interval=1000"]
gpipe = folder / "gpipe.csv"
gpipe.write_text("".join(",".join(f"{stage}{kind}{batch}" for kind in "FB" for batch in range(4)) + "\n" for stage in range(2)))


def draw_table(seed, ranks, stages, microbatches):
    """A file with any table that can run: at each turn something that can be computed is."""
    draw = random.Random(seed)
    cells = {("F", stage, batch) for stage in range(stages) for batch in range(microbatches)}
    for stage in range(stages):
        for batch in range(microbatches):
            cells |= {(kind, stage, batch) for kind in draw.choice(["B", "IW"])}
    done, rows = set(), [[] for _ in range(ranks)]
    while cells:
        def can_run(cell):
            kind, stage, batch = cell
            if kind == "F":
                return stage == 0 or ("F", stage - 1, batch) in done
            if kind == "W":
                return ("I", stage, batch) in done
            return ("F", stage, batch) in done and (stage + 1 == stages or bool({("B", stage + 1, batch), ("I", stage + 1, batch)} & done))
        cell = draw.choice(sorted(filter(can_run, cells)))
        cells.remove(cell)
        done.add(cell)
        rows[cell[1] % ranks].append(f"{cell[1]}{cell[0]}{cell[2]}")
    path = folder / f"drawn{seed}.csv"
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    return path


uneven = ["pipeline_model_parallel_size=3", "pipeline_model_parallel_layout=Et|ttt|L"]
stages2, tied = "pipeline_model_parallel_size=2", "untie_embeddings_and_output_weights=false"
primus, twice = "patch_primus_pipeline=true", "num_virtual_stages_per_pipeline_rank=2"
pipelines = {
    "gpipe": (2, [stages2, f"pipeline_schedule_table={gpipe}"]),
    "deep": (4, ["pipeline_model_parallel_size=4"]),
    "interleaved": (2, [stages2, twice, tied]),
    "zero-bubble": (2, [stages2, primus, "pp_algorithm=zero-bubble"]),
    "zbv": (2, [stages2, primus, "pp_algorithm=zbv-formatted", twice]),
    "drawn1": (2, [stages2, twice, f"pipeline_schedule_table={draw_table(1, 2, 4, 4)}"]),
    "drawn2": (4, ["pipeline_model_parallel_size=4", f"pipeline_schedule_table={draw_table(2, 4, 4, 4)}"]),
    "uneven": (3, uneven),
    "zero1": (4, [stages2, "use_distributed_optimizer=true", "global_batch_size=8"]),
    "fsdp": (4, [stages2, "use_torch_fsdp2=true", "global_batch_size=8"]),
    "tensor": (4, [stages2, twice, "tensor_model_parallel_size=2", "sequence_parallel=true"]),
    "context": (4, [stages2, "context_parallel_size=2"]),
}
text = folder / "text.txt"
text.write_text("".join(f"{n} times {n} is {n * n}. " for n in range(2000)))


def compile(name, ranks, *more):
    path = folder / f"{name}.primus"
    subprocess.run(["primus-compile", experiment, *keys, *more, "--ranks", str(ranks), "-o", str(path)], check=True, env=environment,
                   stdout=subprocess.DEVNULL)
    return path


def start(name, executable, *options, launcher=()):
    return subprocess.Popen([*launcher, "primus-train", str(executable), "--data", str(text), "--metrics", str(folder / f"{name}.jsonl"), *options],
                            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def train(name, executable, **how):
    process = start(name, executable, **how)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, (name, output)
    rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    assert len(rows) == 20, (name, output)
    return [(row["loss"], row["grad_norm"]) for row in rows]


references = {}
for name, (ranks, layout) in pipelines.items():
    variant = tuple(key for key in layout if key == tied or key.startswith("global_batch_size"))
    if variant not in references:
        references[variant] = train(f"one{len(references)}", compile(f"one{len(references)}", 1, *variant))
    executable = compile(name, ranks, *layout)
    losses = train(name, executable)
    worst = max(abs(a - b) for (a, _), (b, _) in zip(losses, references[variant]))
    print(f"{name}: the losses differ from one rank's by {worst:.2e} at most", flush=True)
    assert worst < 1e-5, name
    if name in ("zero-bubble", "tensor"):
        assert train(name, executable) == losses, f"{name}: another run gives other bits"
        assert train(name, executable, launcher=["mpirun", "-n", str(ranks)]) == losses, f"{name}: processes compute other bits than threads"

# A rank that is silent or killed amid a pipeline ends the others soon, which say who it is. mpirun ends them at once where it sees a process die, unless it
# is told to leave that to them; then each says by itself with what code it ends.
executable = compile("lost", 3, *uneven, "train_iters=100000")
wrapper = ["bash", "-c", '"$@"; echo "rank $OMPI_COMM_WORLD_RANK exits with $?"', "wrapper"]
losses = {"silent": (signal.SIGSTOP, []), "killed": (signal.SIGKILL, []), "survived": (signal.SIGKILL, ["--enable-recovery"])}


def find_ranks(workspace):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
            command = (path.parent / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if command[0].endswith(b"primus-train") and f"PRIMUS_WORKSPACE={workspace}".encode() in variables:
            found += [(int(v.split(b"=")[1]), int(path.parent.name)) for v in variables if v.startswith(b"OMPI_COMM_WORLD_RANK=")]
    return dict(found)


processes = {}
for name, (_, options) in losses.items():
    environment["PRIMUS_WORKSPACE"] = str(folder / name)
    processes[name] = start(name, executable, "--timeout", "5", launcher=["mpirun", *options, "-n", "3", *(wrapper if options else [])])
for name, process in processes.items():
    metrics = folder / f"{name}.jsonl"
    while process.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) > 5):
        time.sleep(0.05)
begin = time.time()
for name, (number, _) in losses.items():
    os.kill(find_ranks(folder / name)[1], number)
for name, process in processes.items():
    output = process.communicate(timeout=60)[0]
    assert time.time() - begin < 40, (name, output)
    if name == "killed":
        assert process.returncode not in (0, 1, 2) and "rank 1" in output, (name, process.returncode, output)
        continue
    assert "rank 1 did not come to" in output, (name, output)
    if name == "silent":
        assert process.returncode == 3, (process.returncode, output)
    else:
        assert all(f"rank {rank} exits with 3" in output for rank in (0, 2)), output
