"""Tiny Hugging Face checkpoints out of nothing, for goldens and tests: values from a seed, safetensors files. Standard library only."""
import json
import pathlib
import struct

SIZES = {"F64": ("d", 8), "F32": ("f", 4), "F16": ("e", 2), "BF16": (None, 2), "I64": ("q", 8), "I32": ("i", 4)}
MASK = (1 << 64) - 1


def random_bytes(name, count, seed=0):
    """One byte per element: the last step of SplitMix64 (Steele, Lea and Flood 2014) on a state that starts from the name."""
    state = seed
    for byte in name.encode():
        state = (state * 1099511628211 ^ byte) & MASK
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        yield (z ^ z >> 31) >> 56


def count(shape):
    size = 1
    for n in shape:
        size *= n
    return size


def make_values(name, shape):
    """Multiples of 1/128 or less that are exact in every float type. Weights of norms are around 1, all else is around 0."""
    is_norm = len(shape) == 1 and name.endswith("weight")
    scale = 1 / 512 if len(shape) == 2 else 1 / 256
    return [1 + (b // 2 - 64) / 128 if is_norm else (b - 128) * scale for b in random_bytes(name, count(shape))]


def pack(values, dtype):
    code, _ = SIZES[dtype]
    if code:
        return struct.pack(f"<{len(values)}{code}", *values)
    halves = [struct.unpack("<I", struct.pack("<f", v))[0] >> 16 for v in values]  # exact values only
    return struct.pack(f"<{len(values)}H", *halves)


def unpack(data, dtype):
    code, size = SIZES[dtype]
    if code:
        return list(struct.unpack(f"<{len(data) // size}{code}", data))
    return [struct.unpack("<f", struct.pack("<I", h << 16))[0] for h in struct.unpack(f"<{len(data) // 2}H", data)]


def write_safetensors(path, tensors, metadata=None):
    """`tensors`: name -> (dtype, shape, bytes)."""
    header, offset = {"__metadata__": metadata} if metadata else {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(d for _, _, d in tensors.values()))


def read_safetensors(path):
    """Name -> (dtype, shape, bytes)."""
    data = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    header.pop("__metadata__", None)
    return {n: (e["dtype"], e["shape"], body[slice(*e["data_offsets"])]) for n, e in header.items()}


def read_folder(folder):
    """All tensors of a checkpoint, sharded or not."""
    tensors = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        tensors.update(read_safetensors(path))
    return tensors


def write_checkpoint(folder, config, parameters, dtype="F32", shards=1, drop_prefix="", buffers=(), copies=()):
    """`parameters`: [name, shape]. `buffers`: tensors that are no parameters; `copies`: [name, of]; both as checkpoints in
    the wild have them."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    tensors = {name: (dtype, shape, pack(make_values(name, shape), dtype)) for name, shape in parameters}
    for name, of in copies:
        tensors[name] = tensors[of]
    tensors = {name[len(drop_prefix) :] if name.startswith(drop_prefix) else name: t for name, t in tensors.items()}
    for name, shape in buffers:
        tensors[name] = ("F32", shape, bytes(4 * count(shape)))
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors, {"format": "pt"})
        return
    names, index = list(tensors), {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[i::shards]}
        write_safetensors(folder / file, part, {"format": "pt"})
        index.update({name: file for name in part})
    total = sum(len(data) for _, _, data in tensors.values())
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2)
    (folder / "model.safetensors.index.json").write_text(text)


def project(name, values, projections=8):
    """Inner products with random vectors of +1 and -1. The mean square of what such products of a difference give is the
    square of its norm, so that a few of them stand for the whole tensor."""
    sums = [0.0] * projections
    for value, signs in zip(values, random_bytes(name, len(values), seed=1)):
        for i in range(projections):
            sums[i] += value if signs >> i & 1 else -value
    return sums
