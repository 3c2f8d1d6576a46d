"""primus-checkpoint: import and export bit for bit, memory, what inspect says, training from an import, and what can go wrong.

usage: checkpoint_tool.py GOLDENS_FOLDER FOLDER
"""
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

goldens, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(goldens))
from checkpoints import count, pack, random_bytes, read_folder, read_safetensors, unpack, write_checkpoint, write_safetensors

cases = {case["name"]: case for case in json.loads((goldens / "huggingface.json").read_text())["cases"]}


def run(*command, code=0):
    """Standard output, standard error and the largest resident memory in bytes."""
    process = subprocess.Popen([str(part) for part in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == code, f"{command}: exit code {process.returncode} instead of {code}\n{out}{err}"
    return out, err, usage.ru_maxrss * 1024


def fails(pattern, *command, code=3):
    _, err, _ = run(*command, code=code)
    assert re.search(pattern, err, re.DOTALL), f"{command}: {err}"


def files(path):
    return sorted(p.name for p in pathlib.Path(path).iterdir())


def check_round_trip(model):
    """Everything comes back: files, types, shapes and bytes."""
    ours, back = model.with_suffix(".ours"), model.with_suffix(".back")
    run("primus-checkpoint", "import", "--hf", model, "--to", ours)
    run("primus-checkpoint", "export", "--from", ours, "--hf", back)
    assert files(model) == files(back), (files(model), files(back))
    assert read_folder(model) == read_folder(back)
    for name in files(model):
        if name.endswith(".safetensors"):
            assert set(read_safetensors(model / name)) == set(read_safetensors(back / name)), name
        elif not name.endswith("index.json"):
            assert (model / name).read_bytes() == (back / name).read_bytes(), name
    return ours


def check_stored_variants():
    for name, case in cases.items():
        model = folder / name
        write_checkpoint(model, case["config"], case["parameters"], **case["stored"])
        (model / "tokenizer.json").write_text("{}")
        (model / "merges.txt").write_text("a b\n")
        check_round_trip(model)


def check_all_bit_patterns():
    """Infinities, NaNs and the least numbers of the half types survive."""
    case = cases["gpt2"]
    for dtype in ("BF16", "F16"):
        model = folder / f"bits-{dtype}"
        write_checkpoint(model, case["config"], case["parameters"])
        tensors = {n: (dtype, s, bytes(random_bytes(n, 2 * count(s), seed=3))) for n, s in case["parameters"]}
        write_safetensors(model / "model.safetensors", tensors)
        check_round_trip(model)


def check_memory():
    """The largest tensor and 256 MiB, for a checkpoint far larger than that. (Zeros that take no space on the disk.)"""
    config = dict(cases["llama3.1"]["config"], vocab_size=50000, hidden_size=1024, intermediate_size=4096, num_hidden_layers=4,
                  num_attention_heads=16, num_key_value_heads=16, attention_bias=False, mlp_bias=False)
    layer = {"input_layernorm": [1024], "post_attention_layernorm": [1024], "mlp.gate_proj": [4096, 1024], "mlp.up_proj": [4096, 1024],
             "mlp.down_proj": [1024, 4096], **{f"self_attn.{n}_proj": [1024, 1024] for n in "qkvo"}}
    shapes = {"model.embed_tokens.weight": [50000, 1024], "lm_head.weight": [50000, 1024], "model.norm.weight": [1024]}
    for i in range(4):
        shapes.update({f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()})
    header, offset = {}, 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + 2 * count(shape)]}
        offset += 2 * count(shape)
    model, ours, back = (folder / name for name in ("large", "large.ours", "large.back"))
    model.mkdir()
    (model / "config.json").write_text(json.dumps(config))
    text = json.dumps(header).encode()
    (model / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(model / "model.safetensors", 8 + len(text) + offset)
    largest, limit = 4 * 50000 * 1024, 256 << 20
    _, _, imported = run("primus-checkpoint", "import", "--hf", model, "--to", ours)
    _, _, exported = run("primus-checkpoint", "export", "--from", ours, "--hf", back, "--dtype", "f32")
    print(f"checkpoint of {offset >> 20} MiB, {2 * offset >> 20} as f32: import {imported >> 20} MiB, export {exported >> 20} MiB")
    assert 2 * offset > largest + limit and imported <= largest // 2 + limit and exported <= largest + limit
    for path in (model, ours, back):
        shutil.rmtree(path)


def check_inspect():
    model = folder / "llama-tied"
    for path, kind in ((model, "huggingface"), (folder / "llama-tied.ours", "primus"), (model / "model-00001-of-00003.safetensors", "safetensors")):
        report = json.loads(run("primus-checkpoint", "inspect", path, "--json")[0])
        assert report["kind"] == kind and report["bytes"] == sum(t["bytes"] for t in report["tensors"]), report
        table, _, _ = run("primus-checkpoint", "inspect", path)
        assert all(t["name"] in table for t in report["tensors"]) and str(report["bytes"]) in table
    report = json.loads(run("primus-checkpoint", "inspect", model, "--json")[0])
    expected = {n: (d, s, len(b)) for n, (d, s, b) in read_folder(model).items()}
    assert {t["name"]: (t["dtype"], t["shape"], t["bytes"]) for t in report["tensors"]} == expected
    assert report["metadata"] == {"format": "pt"}


def check_training():
    """An import is trained on; the result is exported, differs in every parameter, and can be evaluated."""
    model, ours, runs, trained = (folder / name for name in ("llama-tied", "llama-tied.ours", "runs", "trained"))
    metrics = folder / "metrics.jsonl"
    os.environ["PRIMUS_WORKSPACE"] = str(folder / "workspace")
    config = dict(cases["llama-tied"]["config"])
    keys = ["train_iters=4", "seq_length=16", "global_batch_size=2", "lr=0.01", "lr_decay_style=constant", "bf16=false",
            f"pretrained_checkpoint={ours}", "save_interval=4"]
    run("primus-train", model, *keys, f"save={runs}", "--metrics", metrics)
    losses = [json.loads(line)["loss"] for line in metrics.read_text().splitlines()]
    assert len(losses) == 4
    fails("--like", "primus-checkpoint", "export", "--from", runs, "--hf", trained, code=2)
    run("primus-checkpoint", "export", "--from", runs, "--hf", trained, "--like", model, "--dtype", "f32")
    before, after = read_folder(model), read_folder(trained)
    assert set(before) == set(after)
    parameters = [name for name, _ in cases["llama-tied"]["parameters"]]
    for name in parameters:
        assert before[name][1] == after[name][1] and after[name][0] == "F32"
        assert unpack(before[name][2], before[name][0]) != unpack(after[name][2], "F32"), name
    # Two ranks that share every tensor, with another padding of the vocabulary, come to the same.
    shared = folder / "shared"
    run("primus-train", model, *keys, f"save={shared}.runs", "use_torch_fsdp2=true", "micro_batch_size=1",
        "make_vocab_size_divisible_by=96", "--ranks", "2")
    run("primus-checkpoint", "export", "--from", f"{shared}.runs", "--hf", shared, "--like", model, "--dtype", "f32")
    for name, (_, _, data) in read_folder(shared).items():
        difference = max(abs(a - b) for a, b in zip(unpack(data, "F32"), unpack(after[name][2], "F32")))
        assert difference < 1e-5, f"{name} differs by {difference}"
    written = json.loads((trained / "config.json").read_text())
    assert "float32" in (written.get("torch_dtype"), written.get("dtype"))
    config["torch_dtype"] = "float32"
    assert written == config
    tokens, out = folder / "tokens.safetensors", folder / "out.safetensors"
    write_safetensors(tokens, {"input_ids": ("I64", [1, 4], pack([1, 2, 3, 4], "I64"))})
    run("primus-eval", "--hf", trained, "--tokens", tokens, "--save", out)


def check_errors():
    model, ours = folder / "gpt2", folder / "gpt2.ours"
    existing = files(ours)
    fails("exists already", "primus-checkpoint", "import", "--hf", model, "--to", ours, code=2)
    assert files(ours) == existing
    fails("no folder 'nowhere'", "primus-checkpoint", "import", "--hf", "nowhere", "--to", folder / "x", code=2)
    fails("nowhere", "primus-checkpoint", "export", "--from", "nowhere", "--hf", folder / "x", code=2)
    fails("is not of the model.*layers", "primus-checkpoint", "export", "--from", ours, "--hf", folder / "x", "--like", folder / "llama3.1")
    fails("no 'nowhere'", "primus-checkpoint", "inspect", "nowhere", code=2)
    fails("subcommand", "primus-checkpoint", code=2)
    broken = folder / "broken"
    shutil.copytree(ours, broken)
    (broken / "huggingface" / "tensors.json").write_text('[{"name": "x", "dtype": "F32", "shape": [1], "file": "../x"}]')
    fails("tensors.json.*no tensor", "primus-checkpoint", "export", "--from", broken, "--hf", folder / "x")
    (broken / "huggingface" / "tensors.json").write_text("[")
    fails("tensors.json", "primus-checkpoint", "export", "--from", broken, "--hf", folder / "x")
    assert not (folder / "x").exists() and not [p for p in folder.iterdir() if p.name.endswith(".tmp")]


check_stored_variants()
check_all_bit_patterns()
check_inspect()
check_errors()
check_training()
check_memory()
