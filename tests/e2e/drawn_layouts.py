"""usage: drawn_layouts.py CONFIGS FOLDER. Trains small models on layouts that are drawn from all that fit eight ranks, as threads, and compares
losses and gradient norms with those of one rank; what the initial weights are has nothing to do with the layout."""
import itertools
import json
import os
import pathlib
import random
import struct
import subprocess
import sys

configs, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"))
small = ["num_layers=2", "hidden_size=32", "ffn_hidden_size=48", "num_attention_heads=4", "seq_length=32", "max_position_embeddings=32",
         "micro_batch_size=1", "global_batch_size=8", "bf16=false", "eval_iters=0", "lr=0.002", "lr_warmup_fraction=None"]
models = {
    "llama": [str(configs / "experiments/cpu/llama-tiny.yaml"), *small, "num_query_groups=2", "sample_bytes=0"],
    "gpt2": [str(configs / "experiments/cpu/gpt2-124M.yaml"), *small, "vocab_size=301", "recompute_granularity=full"],
}
steps = 20


def train(arguments):
    metrics = folder / "metrics.jsonl"
    metrics.unlink(missing_ok=True)
    done = subprocess.run(["primus-train", *arguments, "--metrics", str(metrics)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stderr}"
    return [json.loads(line) for line in metrics.read_text().splitlines()]


def layouts():
    """Arguments of every layout that fits eight ranks."""
    sharing = {"": [], "zero 1": ["use_distributed_optimizer=true"],
               "zero 2": ["use_megatron_fsdp=true", "data_parallel_sharding_strategy=optim_grads"],
               "zero 3": ["use_torch_fsdp2=true"]}
    for tensor, sequence, context, exchange, replicate, shard, state in itertools.product(
            (1, 2), ("true", "false"), (1, 2, 4), ("p2p", "all_gather"), (1, 2, 4, 8), (1, 2, 4, 8), sharing):
        ranks = tensor * context * replicate * shard
        alone = (sequence == "true" and tensor == 1) or (exchange == "p2p" and context == 1) or (state and shard * context == 1)
        if ranks == 1 or ranks > 8 or alone or (not state and shard > 1):
            continue
        groups = {"": None, "zero 3": "data_parallel_replicate_degree"}.get(state, "num_distributed_optimizer_instances")
        yield [f"tensor_model_parallel_size={tensor}", f"sequence_parallel={sequence}", f"context_parallel_size={context}",
               f"cp_comm_type={exchange}", *sharing[state], *([f"{groups}={replicate}"] if groups else []), "--ranks", str(ranks)]


def read_parameters(checkpoint, rows):
    """The bytes of each parameter, put together from all ranks' files; of the tables those of `rows` tokens."""
    content = json.loads((checkpoint / "checkpoint.json").read_text())["content"]
    files = []
    for file in content["files"]:
        data = (checkpoint / file["name"]).read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        files.append((json.loads(data[8:8 + size]), data[8 + size:]))
    parameters = {}
    for name, tensor in content["tensors"].items():
        if tensor["role"] != "parameter":
            continue
        height, width = (tensor["shape"] + [1])[:2]
        value = bytearray(4 * height * width)
        for part in tensor["slices"]:
            header, data = files[part["file"]]
            begin = header[name]["data_offsets"][0]
            (row, column), (count, length) = (part["begin"] + [0])[:2], (part["shape"] + [1])[:2]
            for i in range(count):
                at = 4 * ((row + i) * width + column)
                value[at:at + 4 * length] = data[begin + 4 * i * length:begin + 4 * (i + 1) * length]
        table = name in ("embedding.weight", "head.weight")
        parameters[name] = bytes(value[:4 * rows * width] if table else value)
    return parameters


every = list(layouts())
assert len(every) > 150, len(every)
worst = 0
for model, arguments in models.items():
    keys = [*arguments, f"train_iters={steps}"]
    reference = train(keys)
    for layout in random.Random(model).sample(every, 4):
        for expected, actual in zip(reference, train([*keys, *layout]), strict=True):
            for field, tolerance in (("loss", 1e-5), ("grad_norm", 1e-4)):
                difference = abs(actual[field] - expected[field]) / expected[field]
                worst = max(worst, difference if field == "loss" else 0)
                assert difference <= tolerance, f"{model} {layout} step {expected['step']}: {field} {actual[field]}, one rank {expected[field]}"

    # Nothing is learned at rate 0: what is saved are the initial weights.
    frozen = [*arguments, "train_iters=1", "min_lr=0", "lr=0"]
    saved = []
    for name, layout in {"one": [], "eight": ["tensor_model_parallel_size=2", "use_torch_fsdp2=true", "--ranks", "8"]}.items():
        train([*frozen, *layout, f"save={folder / model / name}"])
        saved.append(read_parameters(folder / model / name / "step_00000001", 256 if model == "llama" else 301))
    assert saved[0] == saved[1], f"{model}: initial weights depend on the layout"
print(f"{len(every)} layouts; losses of those drawn differ by at most {worst:.2g}")
