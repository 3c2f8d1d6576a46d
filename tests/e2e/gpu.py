"""usage: gpu.py EXPERIMENT FOLDER HIP_LIBRARY. Executables for gfx942 and gfx950: what the compiler writes, and a run on emulated GPUs."""
import json
import os
import pathlib
import subprocess
import sys

experiment, folder, library = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"), PRIMUS_HIP_LIBRARY=library)
keys = ["train_iters=2", "micro_batch_size=1", "global_batch_size=1", "seq_length=48", "num_layers=1", "hidden_size=64", "ffn_hidden_size=96",
        "num_attention_heads=2", "num_query_groups=1", "kv_channels=32", "eval_iters=0", "sample_bytes=0", "lr_warmup_iters=0"]


def run(*arguments, code=0):
    done = subprocess.run([str(argument) for argument in arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def train(executable, target):
    metrics = folder / f"{target}.jsonl"
    run("primus-train", executable, "--metrics", metrics)
    return [json.loads(line) for line in metrics.read_text().splitlines()]


run("primus-compile", experiment, *keys, "-o", folder / "cpu.primus")
expected = train(folder / "cpu.primus", "cpu")
for target in ["gfx942", "gfx950"]:
    executable, dump = folder / f"{target}.primus", folder / target
    run("primus-compile", experiment, *keys, "--target", target, "-o", executable, "--dump", dump)

    # From the cache, and from every phase, the same bytes.
    for arguments in [[experiment, *keys, "--target", target], ["--start-from", dump / "08-step.mlir"], ["--start-from", dump / "01-spec.textproto"]]:
        run("primus-compile", *arguments, "-o", folder / "again.primus")
        assert executable.read_bytes() == (folder / "again.primus").read_bytes(), f"{target}: another executable from {arguments[0]}"

    # Every kernel in all its forms, and what the report says of it.
    report = json.loads((dump / "report.json").read_text())
    assert report["target"] == target
    for kernel in report["kernels"]:
        for form in ["mlir", "ll", "s", "hsaco", "json"]:
            assert (dump / "kernels" / f"{kernel['name']}.{form}").stat().st_size, (kernel["name"], form)
        assert f"amdgcn-amd-amdhsa--{target}" in (dump / "kernels" / f"{kernel['name']}.s").read_text()
        description = json.loads((dump / "kernels" / f"{kernel['name']}.json").read_text())
        assert description["grid"][1:] == description["block"][1:] == [1, 1] and description["block"][0] % 64 == 0, description
        assert [argument["offset"] for argument in description["arguments"]] == list(range(0, 8 * len(description["arguments"]), 8))
        assert kernel["spills"] == kernel["scratch_bytes"] == 0 and kernel["vector_registers"] > 0, kernel
        assert 1 <= kernel["waves_per_simd"] <= 8 and kernel["lds_bytes"] <= (64 if target == "gfx942" else 160) << 10, kernel
        assert kernel["predicted_seconds"] > 0 and kernel["bound"] in ("compute", "memory", "matrix", "lds", "cache", "latency"), kernel

    # A run of it is the processor's, but for rounding.
    metrics = train(executable, target)
    assert len(metrics) == len(expected) == 2
    for got, wanted in zip(metrics, expected):
        for key in ["loss", "grad_norm"]:
            assert abs(got[key] / wanted[key] - 1) < 1e-2, (target, key, got[key], wanted[key])

# A table of the hardware overrides the model's choice of tiles.
(folder / "hardware").mkdir()
(folder / "hardware/mine.yaml").write_text("target: gfx942\nmatmul_tiles: [{tile: [64, 128], waves: [2, 4]}]\n")
run("primus-compile", experiment, *keys, "hardware=mine", "--config-path", folder, "--target", "gfx942", "--dump", folder / "table")
assert "waves [2, 4]" in (folder / "table/08-step.mlir").read_text()

# What cannot be asked for.
message = run("primus-compile", experiment, "--target", "gfx90a", code=2)
assert "there is no target 'gfx90a'; the targets are cpu, gfx942, gfx950" in message, message
message = run("primus-compile", experiment, "--target", "gfx942", "--cpu-features", "avx2", code=2)
assert "--cpu-features has no effect on --target gfx942" in message, message
message = run("primus-compile", "--target", "gfx950", "--start-from", folder / "gfx942/08-step.mlir", code=2)
assert "the dump was made for gfx942" in message, message
