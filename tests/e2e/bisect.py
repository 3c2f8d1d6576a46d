"""usage: bisect.py EXPERIMENT FOLDER."""
import json
import os
import pathlib
import struct
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
os.environ["PRIMUS_CACHE"] = str(folder / "cache")
TINY = ["num_layers=2", "hidden_size=32", "ffn_hidden_size=48", "num_attention_heads=2", "num_query_groups=1", "kv_channels=16",
        "seq_length=16", "max_position_embeddings=16", "micro_batch_size=1", "global_batch_size=2"]


def run(tool, *arguments, code=0):
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


# All phases of both modes agree, in bf16 and in f32.
report = folder / "report.json"
text = run("primus-bisect", experiment, *TINY, "--report", report)
assert "All phases agree." in text, text
found = json.loads(report.read_text())
assert found["agrees"] and "finding" not in found
assert [c["phase"] for c in found["comparisons"]] == 2 * ["train", "fp8", "sharded", "placed", "fused"] + ["step"]
assert found["comparisons"][-1]["mode"] == "compiled" and found["comparisons"][-1]["kernels"] > 0
assert 5 < found["loss"] < 6.5

# Values that are rounded to 8 bits may end at neighbours: kernels and phases agree within these.
for recipe in ["delayed", "tensorwise", "mxfp8"]:
    text = run("primus-bisect", experiment, *TINY, "hidden_size=128", "ffn_hidden_size=256", "fp8=hybrid", f"fp8_recipe={recipe}", "--faithful")
    assert "All phases agree." in text, text

# Only what is asked for, on standard output.
text = subprocess.run(["primus-bisect", experiment, *TINY, "bf16=false", "--exact", "--phases", "train,fused", "--steps", "2", "--seed", "7",
                       "--report", "-"], capture_output=True, text=True, check=True).stdout
assert [(c["phase"], c["against"], c["mode"]) for c in json.loads(text)["comparisons"]] == [("fused", "train", "exact")], text

# On four ranks, whose graph phases run in the interpreter; compiled code of several ranks is not run.
text = run("primus-bisect", experiment, *TINY, "context_parallel_size=2", "use_torch_fsdp2=true", "--ranks", "4", "--exact", "--report", report)
assert [c["phase"] for c in json.loads(report.read_text())["comparisons"]] == ["train", "fp8", "sharded", "placed", "fused"], text
text = run("primus-bisect", experiment, *TINY, "--ranks", "2", "--phases", "fused,step", code=2)
assert "--phases names 'step', but compiled code of several ranks is not run here" in text, text

# A pipeline's stages run the layers that are compared without it; what is split already is refused.
text = run("primus-bisect", experiment, *TINY, "pipeline_model_parallel_size=2", "--exact", "--phases", "train,fused")
assert "note: the pipeline is left out" in text and "All phases agree." in text and "several ranks" not in text, text
subprocess.run(["primus-compile", experiment, *TINY, "pipeline_model_parallel_size=2", "--stop-after", "placed", "--dump", folder / "staged"], check=True)
text = run("primus-bisect", "--start-from", folder / "staged" / "06-placed.mlir", code=2)
assert "has a program for each rank of a pipeline" in text, text

# From a dump on.
dump = folder / "dump"
run("primus-compile", experiment, *TINY, "--stop-after", "placed", "--dump", dump)
text = run("primus-bisect", "--start-from", dump / "06-placed.mlir", "--faithful", "--report", report)
assert [c["phase"] for c in json.loads(report.read_text())["comparisons"]] == ["fused", "step"], text

# Tokens from a file.
def write_inputs(name, tensors):
    header, data = {}, b""
    for tensor, (dtype, shape, content) in tensors.items():
        header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path = folder / name
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


tokens = struct.pack("<32q", *range(32))
good = write_inputs("good.safetensors", {"tokens": ("I64", [2, 1, 16], tokens), "labels": ("I32", [2, 16], struct.pack("<32i", *[-100] * 31, 7))})
text = run("primus-bisect", experiment, *TINY, "--faithful", "--phases", "fused,step", "--inputs", good, "--report", report)
# One label counts: the loss is that token's.
assert json.loads(report.read_text())["agrees"], text
other = json.loads(report.read_text())["loss"]
assert 3 < other < 8 and other != found["loss"]

# What a user can get wrong.
for tensors, message in [
        ({"tokens": ("I64", [31], tokens[8:])}, "takes 32 elements"),
        ({"token": ("I64", [32], tokens)}, "its inputs are labels, tokens"),
        ({"tokens": ("F64", [32], tokens)}, "I32 or I64"),
        ({"tokens": ("I64", [32], struct.pack("<32q", *[256] * 32))}, "holds 256"),
]:
    assert message in run("primus-bisect", experiment, *TINY, "--inputs", write_inputs("bad.safetensors", tensors), code=2), tensors
assert "missing.safetensors" in run("primus-bisect", experiment, *TINY, "--inputs", folder / "missing.safetensors", code=3)
for arguments, message in [
        ([experiment, "--phases", "train,nonsense"], "no phase 'nonsense' can be run"),
        ([experiment, "--phases", "train,objects"], "those that can are model, train"),
        ([experiment, "--phases", "train"], "two phases or more"),
        ([experiment, "--exact", "--faithful"], "excludes"),
        ([experiment, "--tolerance", "-1"], "--tolerance"),
        ([experiment, "--steps", "0"], "--steps"),
        ([experiment, "nonsense"], "neither an option nor key=value"),
        ([experiment, "num_layer=2"], "num_layers"),
        ([], "no experiment given"),
        (["--start-from", dump / "06-placed.mlir", "num_layers=2"], "have no effect"),
        (["--start-from", dump / "06-placed.mlir", "--phases", "train,fused"], "comes before phase 'placed'"),
]:
    assert message in run("primus-bisect", *arguments, code=2), arguments
assert "can't be read" in run("primus-bisect", "--start-from", folder / "missing.mlir", code=3)
