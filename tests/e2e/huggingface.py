"""primus-eval against transformers: loss, logits and every gradient of tiny models in fp32.

usage: huggingface.py GOLDENS.json FOLDER
"""
import json
import math
import pathlib
import subprocess
import sys

goldens, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(goldens.parent))
from checkpoints import pack, project, read_safetensors, unpack, write_checkpoint, write_safetensors


def distance(name, values, golden):
    """An estimate of the norm of the difference to the golden tensor, relative to its norm."""
    differences = [a - b for a, b in zip(project(name, values), golden["projections"])]
    estimate = math.sqrt(sum(d * d for d in differences) / len(differences))
    norm = math.sqrt(sum(v * v for v in values))
    return max(estimate, abs(norm - golden["norm"])) / golden["norm"]


def evaluate(case):
    model, tokens, out = (folder / (case["name"] + suffix) for suffix in ("", ".tokens", ".out"))
    write_checkpoint(model, case["config"], case["parameters"], **case["stored"])
    shape = [case["batch"], case["tokens"]]
    inputs = {"input_ids": ("I64", shape, pack(case["input_ids"], "I64"))}
    if case["ignored"]:
        inputs["labels"] = ("I64", shape, pack(case["labels"], "I64"))
    write_safetensors(tokens, inputs)
    command = ["primus-eval", "--hf", model, "--tokens", tokens, "--outputs", "loss,logits,gradients", "--save", out]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return read_safetensors(out)


failures = 0
for case in json.loads(goldens.read_text())["cases"]:
    result = evaluate(case)
    prefix = case["stored"].get("drop_prefix", "")
    saved = {name: "grad." + name.removeprefix(prefix) for name in case["gradients"]}
    shapes = {saved[name]: shape for name, shape in case["parameters"]}
    shapes.update(loss=[], logits=[case["batch"], case["tokens"], case["config"]["vocab_size"]])
    assert {name: shape for name, (_, shape, _) in result.items()} == shapes, sorted(set(result) ^ set(shapes))
    assert all(dtype == "F32" for dtype, _, _ in result.values())
    values = {name: unpack(data, "F32") for name, (_, _, data) in result.items()}
    loss = abs(values["loss"][0] - case["loss"]) / case["loss"]
    logits = distance("logits", values["logits"], case["logits"])
    worst, where = max((distance(name, values[saved[name]], golden), name) for name, golden in case["gradients"].items())
    good = loss < 1e-5 and logits < 1e-4 and worst < 1e-4
    failures += not good
    print(f"{case['name']}: {'ok' if good else 'FAILED'}, loss {loss:.1e}, logits {logits:.1e}, gradients {worst:.1e} ({where})")
sys.exit(1 if failures else 0)
