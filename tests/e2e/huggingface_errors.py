"""What can be wrong with a Hugging Face folder and its tokens: the exit code, a message with its place, and nothing written.

usage: huggingface_errors.py GOLDENS_FOLDER FOLDER
"""
import copy
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys

goldens, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(goldens))
from checkpoints import pack, write_checkpoint, write_safetensors

case = json.loads((goldens / "huggingface.json").read_text())["cases"][0]
good = folder / "good"
write_checkpoint(good, case["config"], case["parameters"])
failures = 0


def ids(values=(1, 2, 3, 4), shape=(1, 4), dtype="I64"):
    return dtype, list(shape), pack(values, dtype)


def check(name, code, pattern, model=good, tokens=None, arguments=(), file=None):
    """`tokens`: tensors of the tokens' file; `file`: that file itself."""
    global failures
    inputs, out = folder / "inputs.safetensors", folder / "out.safetensors"
    out.unlink(missing_ok=True)
    write_safetensors(inputs, tokens or {"input_ids": ids()})
    command = ["primus-eval", "--hf", model, "--tokens", file or inputs, *arguments]
    if "--save" not in arguments:
        command += ["--save", out]
    run = subprocess.run([str(part) for part in command], text=True, capture_output=True)
    text = run.stdout + run.stderr
    if run.returncode != code or not re.search(pattern, text, re.DOTALL) or (code != 0 and out.exists()):
        failures += 1
        print(f"{name}: exit code {run.returncode} (expected {code}), said:\n{text}")


def with_config(name, pattern, change, code=2):
    """A folder whose config.json is changed: by a function on its keys, or to another text."""
    model = folder / "config"
    shutil.rmtree(model, ignore_errors=True)
    shutil.copytree(good, model)
    config = copy.deepcopy(case["config"])
    text = change if isinstance(change, str) else (change(config), json.dumps(config, indent=2))[1]
    (model / "config.json").write_text(text)
    check(name, code, pattern, model=model)


def with_weights(name, pattern, code=3, parameters=None, change=None, **stored):
    model = folder / "weights"
    shutil.rmtree(model, ignore_errors=True)
    write_checkpoint(model, case["config"], parameters or case["parameters"], **stored)
    if change:
        change(model)
    check(name, code, pattern, model=model)


def edit(path, old, new):
    path.write_text(path.read_text().replace(old, new))


check("nothing wrong", 0, "loss ")

with_config("class", r"config\.json:3:\d+: error: .*BertForMaskedLM.*GPT2LMHeadModel, LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM", lambda c: c.update(architectures=["BertForMaskedLM"]))
with_config("no class", r"LlamaForCausalLM", lambda c: (c.pop("architectures"), c.pop("model_type")))
with_config("model type", r"model_type.*mamba.*gpt2, llama", lambda c: (c.pop("architectures"), c.update(model_type="mamba")))
with_config("NaN", r"config\.json:2:\d+: error: not JSON", '{"architectures": ["LlamaForCausalLM"],\n "hidden_size": NaN}')
with_config("no JSON", r"config\.json:1:\d+: error: not JSON", "hidden_size: 64\n")
with_config("cut off", r"config\.json:\d+:\d+: error: not JSON", '{"architectures": ["LlamaForCausalLM"],')
with_config("a list", r"config\.json.*object", "[1, 2]")
with_config("text for a number", r"config\.json:\d+.*hidden_size.*integer", lambda c: c.update(hidden_size="64"))
with_config("a list for a number", r"config\.json:\d+.*num_attention_heads.*integer", lambda c: c.update(num_attention_heads=[4]))
with_config("a number for a mapping", r"config\.json:\d+.*rope_scaling", lambda c: c.update(rope_scaling=8))
with_config("half a layer", r"num_hidden_layers.*2\.5", lambda c: c.update(num_hidden_layers=2.5))
with_config("no layers", r"num_hidden_layers.*at least 1", lambda c: c.update(num_hidden_layers=0))
with_config("too many layers", r"num_hidden_layers.*out of range", lambda c: c.update(num_hidden_layers=10**12))
with_config("beyond 64 bits", r"config\.json:\d+", lambda c: c.update(hidden_size=10**30))
with_config("heads", r"num_key_value_heads", lambda c: c.update(num_key_value_heads=3))
with_config("unknown key", r"hiden_size.*hidden_size", lambda c: c.update(hiden_size=64))
with_config("activation", r"hidden_act.*tanhshrink", lambda c: c.update(hidden_act="tanhshrink"))
with_config("scaling", r"rope_type.*yarn2.*llama3", lambda c: c["rope_scaling"].update(rope_type="yarn2"))
with_config("scaling's numbers", r"low_freq_factor", lambda c: c["rope_scaling"].pop("low_freq_factor"))
with_config("quantised", r"quantization_config", lambda c: c.update(quantization_config={"bits": 4}))
with_config("another width", r"of another shape: model\.embed_tokens\.weight is \[97x64\], but config\.json makes it \[97x128\]", lambda c: c.update(hidden_size=128, head_dim=16), code=3)
with_config("more layers", r"missing: model\.layers\.2\.", lambda c: c.update(num_hidden_layers=3), code=3)
with_config("fewer layers", r"unknown: model\.layers\.1\.", lambda c: c.update(num_hidden_layers=1), code=3)

parameters = case["parameters"]
with_weights("missing and extra", r"missing: model\.norm\.weight \[64\].*unknown: model\.norm\.gamma F32\[64\]",
             parameters=[[n.replace("model.norm.weight", "model.norm.gamma"), s] for n, s in parameters])
with_weights("another shape", r"of another shape: lm_head\.weight is \[96x64\].*\[97x64\]",
             parameters=[[n, [96, 64] if n == "lm_head.weight" else s] for n, s in parameters])
with_weights("index leaves the folder", r"\.\./x\.safetensors", shards=2,
             change=lambda m: edit(m / "model.safetensors.index.json", "model-00001-of-00002", "../x"))
with_weights("a shard is missing", r"model-00002-of-00002\.safetensors", shards=2, change=lambda m: (m / "model-00002-of-00002.safetensors").unlink())
with_weights("cut off", r"model\.safetensors",
             change=lambda m: (m / "model.safetensors").write_bytes((m / "model.safetensors").read_bytes()[:-100]))
with_weights("a huge header", r"model\.safetensors",
             change=lambda m: (m / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}"))
with_weights("no weights", r"safetensors", change=lambda m: (m / "model.safetensors").unlink())
with_weights("no config", r"config\.json", code=2, change=lambda m: (m / "config.json").unlink())
check("no folder", 2, "nowhere", model=folder / "nowhere")

check("no tokens", 3, "nothing.safetensors", file=folder / "nothing.safetensors")
check("no input_ids", 3, "input_ids", tokens={"labels": ids()})
check("types", 3, "input_ids.*I64.*F32", tokens={"input_ids": ids(dtype="F32")})
check("one dimension", 3, "input_ids", tokens={"input_ids": ids(shape=[4])})
check("empty", 3, "input_ids", tokens={"input_ids": ids(values=(), shape=[0, 4])})
check("token out of range", 3, "97.*vocabulary ends at 96", tokens={"input_ids": ids((1, 97, 2, 3))})
check("negative token", 3, "-1", tokens={"input_ids": ids((1, -1, 2, 3))})
check("label out of range", 3, "labels.*200", tokens={"input_ids": ids(), "labels": ids((1, 200, -100, 3))})
check("negative label", 3, "labels.*-5", tokens={"input_ids": ids(), "labels": ids((1, -5, -100, 3))})
check("shapes differ", 3, r"labels.*\[1x4\]", tokens={"input_ids": ids(), "labels": ids((1, 2), (1, 2))})
check("no label", 3, "no label", tokens={"input_ids": ids((1,), (1, 1))})
check("hidden tokens", 3, "attention_mask", tokens={"input_ids": ids(), "attention_mask": ids((1, 1, 1, 0))})
check("all visible", 0, "loss", tokens={"input_ids": ids(), "attention_mask": ids((1, 1, 1, 1)), "position_ids": ids((0, 1, 2, 3))})
check("positions", 3, "position_ids", tokens={"input_ids": ids(), "position_ids": ids((1, 2, 3, 4))})
check("another input", 3, "decoder_input_ids.*input_ids", tokens={"input_ids": ids(), "decoder_input_ids": ids()})
check("outputs", 2, "attentions.*gradients", arguments=["--outputs", "loss,attentions"])
check("target", 2, "gfx942", arguments=["--target", "gfx942"])
check("type", 2, "f32", arguments=["--dtype", "f8"])
check("an output's folder", 3, "/nowhere/at/all", arguments=["--save", "/nowhere/at/all/x.safetensors"])
sys.exit(1 if failures else 0)
