"""usage: executables.py EXPERIMENT FOLDER. What an executable promises: it needs no compiler, and a file that cannot be run is refused."""
import os
import pathlib
import re
import subprocess
import sys
import time
import zlib

experiment, folder = sys.argv[1], pathlib.Path(sys.argv[2])
environment = dict(os.environ, PRIMUS_CACHE=str(folder / "cache"), PRIMUS_WORKSPACE=str(folder / "output"))
keys = ["train_iters=100000", "micro_batch_size=1", "global_batch_size=1", "seq_length=32", "num_layers=1", "eval_iters=0", "sample_bytes=0"]
text = folder / "text.txt"
text.write_text("a text to learn from; " * 100)


# Compiled twice, in two folders, the second time from the cache: the same bytes and the same dump of each kernel.
dumps = [folder / "first", folder / "second"]
for dump in dumps:
    dump.mkdir()
    subprocess.run(["primus-compile", experiment, *keys, "-o", "x.primus", "--dump", str(dump)], cwd=dump, check=True, env=environment,
                   stderr=subprocess.DEVNULL)
executable = dumps[0] / "x.primus"
assert executable.read_bytes() == (dumps[1] / "x.primus").read_bytes(), "equal inputs gave different executables"
kernels = [{path.name: path.read_bytes() for path in (dump / "kernels").iterdir()} for dump in dumps]
assert kernels[0].keys() == kernels[1].keys() and len(kernels[0]) > 50, "the cache dumps other files"
different = [name for name in kernels[0] if kernels[0][name] != kernels[1][name]]
assert not different, f"the cache dumps another {different}"

# While it runs, no compiler is mapped.
metrics = folder / "metrics.jsonl"
process = subprocess.Popen(["primus-train", str(executable), "--data", str(text), "--metrics", str(metrics)], env=environment,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
    time.sleep(0.01)
maps = pathlib.Path(f"/proc/{process.pid}/maps").read_text()
process.terminate()
assert process.wait() == 0, process.stdout.read()
assert "libprimus_runtime" in maps
assert not re.search("LLVM|MLIR|lld|primus_compiler", maps), maps

# What cannot be run says why.
content = executable.read_bytes()


def seal(data):
    return data[:-4] + zlib.crc32(data[:-6]).to_bytes(4, "little")


cases = {
    "a truncated file": (content[:-1000], "truncated or damaged"),
    "an empty file": (b"", "is empty"),
    "a flipped bit in the code": (content[:-2000] + bytes([content[-2000] ^ 1]) + content[-1999:], "damaged: its checksum"),
    "a flipped bit in the tables": (content[:-100] + bytes([content[-100] ^ 1]) + content[-99:], "damaged"),
    "a foreign file": (text.read_bytes(), "not an executable"),
    "a newer version": (seal(b"\x08\x63" + content[2:]), "format version 99, but this program reads version"),
    "another target": (seal(content.replace(b"\x1a\x03cpu", b"\x1a\x03gpu", 1)), "is compiled for 'gpu'"),
    # No processor of today has it.
    "other processor features": (seal(content.replace(b'"\x04avx2', b'"\x04fma4', 1)), "needs the processor feature 'fma4'"),
}
assert seal(content) == content and content[:1] == b"\x08"
for name, (data, reason) in cases.items():
    path = folder / "other.primus"
    path.write_bytes(data)
    run = subprocess.run(["primus-train", str(path)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 3 and "other.primus'" in run.stdout and reason in run.stdout, f"{name}: {run.returncode}, {run.stdout}"
