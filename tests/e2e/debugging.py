"""usage: debugging.py EXPERIMENT FOLDER."""
import json
import os
import pathlib
import re
import subprocess
import sys

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_WORKSPACE=str(folder), PRIMUS_CACHE=str(folder / "cache"))
keys = ["train_iters=2", "micro_batch_size=1", "global_batch_size=1", "seq_length=64", "num_layers=2", "eval_iters=0"]


def run(*arguments, code=0):
    result = subprocess.run([str(argument) for argument in arguments], env=environment, text=True, capture_output=True)
    assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result.stdout if code == 0 else result.stderr


def compile(*arguments, code=0):
    return run("primus-compile", experiment, *keys, *arguments, code=code)


# --dump-passes: what the passes that match changed, and nothing for the others.
dump = folder / "dump"
compile("--dump", dump, "--dump-passes", "autodiff|verify|plan", "-o", folder / "x.primus")
files = sorted(path.name for path in (dump / "passes").iterdir())
stems = ["001-train-graph-autodiff", "002-step-step-plan-memory"]
assert files == [stem + suffix for stem in stems for suffix in (".diff", ".mlir")], files
changed = (dump / "passes/001-train-graph-autodiff.mlir").read_text()
assert re.search(r"^// new: .*@block\.backward", changed, re.M) and "func.func private @block.backward" in changed, changed[:500]
assert "func.func private @embedding.unshard" not in changed and "graph.variable" not in changed, "what did not change is left out"
diff = (dump / "passes/001-train-graph-autodiff.diff").read_text()
assert diff.startswith("--- before\n+++ after\n@@") and "\n+func.func private @block.backward" in diff, diff[:500]

# --disable-pass: the same losses by other ways; a dump remembers, the executable does not.
run("primus-train", folder / "x.primus", "--metrics", folder / "x.jsonl")
losses = [json.loads(line)["loss"] for line in (folder / "x.jsonl").read_text().splitlines()]
for disabled in (["canonicalize", "cse"], ["graph-expand-cross-entropy"]):
    names = [word for name in disabled for word in ("--disable-pass", name)]
    compile(*names, "-o", folder / "y.primus", "--dump", folder / "other")
    run("primus-train", folder / "y.primus", "--metrics", folder / "y.jsonl")
    others = [json.loads(line)["loss"] for line in (folder / "y.jsonl").read_text().splitlines()]
    assert len(losses) == len(others) == 2, (losses, others)
    assert all(abs(a - b) <= 1e-3 * abs(a) for a, b in zip(losses, others)), (losses, others)
    listed = ", ".join(f'"{name}"' for name in disabled)
    assert f"primus.disabled_passes = [{listed}]" in (folder / "other/02-model.mlir").read_text()
    run("primus-compile", "--start-from", folder / "other/02-model.mlir", "-o", folder / "z.primus")
    assert (folder / "y.primus").read_bytes() == (folder / "z.primus").read_bytes(), "a dump goes on without the same passes"

# A pass that fails leaves what it ran on, and the message how to run it again; primus-opt then fails alike.
broken = folder / "broken.mlir"
broken.write_text((dump / "04-fp8.mlir").read_text().replace('"pp" = 1', '"pp" = 2'))
for arguments, place in ((["--dump", folder / "failed"], folder / "failed"), ([], folder / "cache/reproducers")):
    message = run("primus-compile", "--start-from", broken, *arguments, code=1)
    reproducer = place / "reproducer-sharded-graph-shard.mlir"
    assert f"primus-opt --run-reproducer {reproducer}" in message and "defect" in message, message
    assert "builtin.module(graph-shard)" in reproducer.read_text(), "no pipeline in the reproducer"
    assert "nothing is split over it" in run("primus-opt", "--run-reproducer", reproducer, code=1)

# --explain: where the values are from, then what the passes chose, once per layer's function; KEY asks for the first alone.
text = compile("--explain")
assert "Values that count" in text, text
remarks = text[text.index("Remarks of the passes"):]
for function, title, entry in [
    ("block.backward", "kept from forward for backward", r"%attention_norm \(graph\.rms_norm\) is handed over by block\.forward \[16\.00 KiB\]"),
    ("block.backward", "computed again by backward", r"%feed_forward\.hidden \(graph\.glu\) is computed again"),
    ("block.forward", "fusions refused", r"%attention\.k \(graph\.matmul\) is not computed with %attention\.q \(graph\.matmul\): matmul: \w+"),
    ("block.forward", "operands packed for products", r"%attention\.q\.weight becomes %attention\.q\.weight\.\w+, for products"),
    ("head.forward_backward", "the loss", r"%loss \(graph\.cross_entropy\) in one piece"),
    ("block.backward", "computed in place", r"%\S+ \(graph\.fusion\) is computed over %\S+"),
    ("block.backward", "not computed in place", r"%\S+ \(graph\.fusion\) has a buffer of its own: %\S+ .*"),
]:
    part = re.search(rf"^  {re.escape(function)}\n((?:    .*\n)*)", remarks, re.M)
    assert part, (function, remarks)
    chapter = re.search(rf"^    {title}.*:\n((?:      .*\n)*)", part.group(1), re.M)
    assert chapter and re.search(entry, chapter.group(1)), (function, title, part.group(1))
assert remarks.count("\n  block.forward\n") == 1, "remarks are per layer, not per instance"
one = compile("--explain=lr")
assert "optimizer.learning_rate" in one and "Remarks" not in one, one

# What a user can get wrong.
for arguments, pattern in [
    (["--dump-passes", "cse"], r"--dump-passes needs --dump DIR"),
    (["--dump-passes", "(", "--dump", folder / "no"], r"'\(' is no regular expression: parentheses not balanced"),
    (["--dump-passes", "zebra", "--dump", folder / "no"], r"no pass matches 'zebra'; the passes are graph-autodiff, canonicalize, cse"),
    (["--disable-pass", "canonicalise"], r"there is no pass 'canonicalise'; did you mean 'canonicalize'\?"),
    (["--disable-pass", "zebra"], r"there is no pass 'zebra'; those that can be left out are canonicalize, cse"),
    (["--disable-pass", "graph-autodiff"], r"phase train can't do without graph-autodiff: nothing else makes gradients"),
]:
    message = compile(*arguments, code=2)
    assert re.search(pattern, message), (pattern, message)
assert not (folder / "no").exists()
