"""usage: pipelines.py EXPERIMENTS FOLDER."""
import json
import os
import pathlib
import re
import subprocess
import sys

experiments, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"))


def run(*arguments, code=0):
    done = subprocess.run([str(argument) for argument in arguments], env=environment, text=True, capture_output=True)
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr


small = ["train_iters=3", "micro_batch_size=1", "seq_length=32", "eval_iters=0", "num_layers=4"]
megatron = [experiments / "llama-tiny.yaml", *small, "global_batch_size=4", "pipeline_model_parallel_size=2"]

# Each graph phase goes back in, and what is printed from it is what was dumped.
dump = folder / "dump"
run("primus-compile", *megatron, "pipeline_model_parallel_layout=Et|ttt|L", "pipeline_model_parallel_size=3", "--dump", dump,
    "--stop-after", "fused")
files = {path.name[3:].split(".")[0]: path for path in sorted(dump.iterdir()) if path.name[:2].isdigit()}
assert list(files) == ["config", "spec", "model", "train", "fp8", "sharded", "placed", "fused"], list(files)
text = files["model"].read_text()
assert 'stages = ["embedding", "layers.1", "head"]' in text, text[:2000]
fused = files["fused"].read_text()
for name in ("spec", "model", "train", "sharded", "placed"):
    again = run("primus-compile", "--start-from", files[name], "--emit", "fused")
    strip = lambda text: re.sub(r"^//.*\n", "", text, flags=re.M)
    assert strip(again) == strip(fused), f"another program from {name}"

# What a person sees of it: the table, which goes back in as a schedule of one's own, the time it takes, and each rank's share.
report = json.loads((dump / "report.json").read_text())
assert [(rank["stage"], rank["count"]) for rank in report["ranks"]] == [(0, 1), (1, 1), (2, 1)]
assert sum(rank["parameter_bytes"] for rank in report["ranks"]) >= 4 * report["parameters"]
times = report["pipeline"]
assert times["schedule"] == "1f1b" and times["unit"] == "operations" and 0 < times["bubble"] < 1, times
assert times["critical_path"]["first"][0] == "0F0" and [stage["first"] for stage in times["stage_times"]] == ["embedding", "layers.1", "head"]
drawn = (dump / "pipeline.txt").read_text()
assert "Schedule 1f1b: 3 ranks, 3 stages, 4 microbatches." in drawn and re.search(r"^ +1F0.* 1B3$", drawn, flags=re.M), drawn
again = json.loads(run("primus-compile", *megatron, "pipeline_model_parallel_layout=Et|ttt|L", "pipeline_model_parallel_size=3",
                       f"pipeline_schedule_table={dump / 'pipeline.csv'}", "hardware=mi300x", "--stop-after", "placed", "--report", "-"))
assert again["pipeline"]["schedule"] == "table" and again["pipeline"]["unit"] == "seconds", again["pipeline"]
assert [rank["communication"] for rank in again["ranks"]] == [rank["communication"] for rank in report["ranks"]]

# 16,384 ranks of the largest model: more operations than an integer of 64 bits counts.
large = json.loads(run("primus-compile", experiments.parent / "mi300x/llama3.1_405B-BF16-pretrain.yaml", "--ranks", 16384, "global_batch_size=2048",
                       "pipeline_model_parallel_size=16", "decoder_first_pipeline_num_layers=7", "decoder_last_pipeline_num_layers=7",
                       "--stop-after", "placed", "--report", "-"))
tokens = 2048 * 8192
assert 6 * large["parameters"] * tokens < large["flops_per_step"] < 7 * large["parameters"] * tokens, large["flops_per_step"]
assert all(phase["flops"] > 0 for phase in large["phases"]) and [rank["count"] for rank in large["ranks"]] == [1024] * 16

# Tables and schedules of each flavour reach the module.
table = folder / "table.csv"
table.write_text("0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n")
for arguments, expected in [
    (megatron, "0F0,0SEND_F0"),
    ([*megatron, "global_batch_size=2", f"pipeline_schedule_table={table}"], '"0F0,0F1,0B0,0B1'),
    ([*megatron, "patch_primus_pipeline=true", "pp_algorithm=zero-bubble"], "W0"),
    ([*megatron, "patch_primus_pipeline=true", "pp_algorithm=zbv-formatted", "num_virtual_stages_per_pipeline_rank=2"], "3F0"),
    ([experiments / "llama3-debugmodel.toml", "training.seq_len=32", "parallelism.pipeline_parallel_degree=2",
      "parallelism.pipeline_parallel_schedule=Interleaved1F1B"], "3F0"),
    ([experiments / "llama-tiny-maxtext.yaml", "max_target_length=32", "ici_pipeline_parallelism=2"], "2F0"),
]:
    text = run("primus-compile", *arguments, "--emit", "model")
    found = re.search(r"graph\.pipeline = \{[^}]*\}", text)
    assert found and expected in found.group(0), (arguments, found and found.group(0))
    assert run("primus-compile", *arguments, "--emit", "placed").strip()

# So does phase step, and each rank's program has what it needs.
text = run("primus-compile", "--start-from", files["fused"], "--emit", "step")
assert sorted(re.findall(r"step\.program @(\S+?)\(", text)) == [f"{name}.{rank}" for name in ("forward", "sample", "train_step") for rank in range(3)]
assert "step.send" in text and "step.receive" in text and "step.wait" in text
assert "parallelism.stage_layers" in run("primus-compile", *megatron, "decoder_first_pipeline_num_layers=1", "--explain")


# A rank's memory for activations is what its row of the table keeps: under 1f1b a microbatch for each stage from its own to the last, whatever the number
# of microbatches; under gpipe all of them.
def get_arenas(microbatches, *schedule):
    text = run("primus-compile", experiments / "llama-tiny.yaml", *small, f"global_batch_size={microbatches}", "pipeline_model_parallel_size=4",
               *schedule, "--emit", "step")
    return [int(size) for size in re.findall(r"step\.program @train_step.* arena (\d+)", text)]


gpipe = folder / "gpipe.csv"
gpipe.write_text("".join(",".join(f"{stage}{kind}{batch}" for kind in "FB" for batch in range(8)) + "\n" for stage in range(4)))
few, many, all_at_once = get_arenas(8), get_arenas(16), get_arenas(8, f"pipeline_schedule_table={gpipe}")
tokens_and_labels = 2 * 32 * 4
assert [b - a for a, b in zip(few, many)] == [8 * tokens_and_labels] * 4, (few, many)
microbatch = few[1] - few[2]
for stage in (1, 2):
    assert all_at_once[stage] - few[stage] == (8 - (4 - stage)) * microbatch, (few, all_at_once)
