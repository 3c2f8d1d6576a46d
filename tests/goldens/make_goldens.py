#!/usr/bin/python3
"""Losses of the first training steps by an independent implementation, for tests/e2e/goldens.py.

Written against PyTorch, NumPy and transformers: its own Philox and its own schedule; the models are its own (Llama, GPT-2) or those
of transformers, whose weights it sets. Weights come from the seed, the text is one sequence long, so that every step sees the same
tokens.

    tests/goldens/make_goldens.py > tests/goldens/losses.json
"""
import json
import math
import sys

import numpy
import torch
import torch.nn.functional as F
import transformers

torch.set_num_threads(1)


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011) on arrays of counters, words least significant first."""
    c = [numpy.asarray(word, numpy.uint64) for word in counter]
    k = [int(word) for word in key]
    mask = numpy.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = c[0] * numpy.uint64(0xD2511F53), c[2] * numpy.uint64(0xCD9E8D57)
        high0, low0, high1, low1 = p0 >> numpy.uint64(32), p0 & mask, p1 >> numpy.uint64(32), p1 & mask
        c = [high1 ^ c[1] ^ numpy.uint64(k[0]), low1, high0 ^ c[3] ^ numpy.uint64(k[1]), low0]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def normal(seed, stream, shape, std):
    """Box and Muller: values 2i and 2i+1 are the cosine and sine of block i."""
    size = math.prod(shape)
    block = numpy.arange((size + 1) // 2, dtype=numpy.uint64)
    zero = numpy.zeros_like(block)
    w = philox([block, zero, zero + numpy.uint64(stream), zero], [seed & 0xFFFFFFFF, seed >> 32])
    uniform = lambda low, high: (((high << numpy.uint64(32) | low) >> numpy.uint64(11)).astype(float) + 1) * 2.0**-53
    radius, angle = numpy.sqrt(-2 * numpy.log(uniform(w[0], w[1]))), 2 * math.pi * uniform(w[2], w[3])
    values = numpy.stack([radius * numpy.cos(angle), radius * numpy.sin(angle)], 1).reshape(-1)[:size]
    return torch.tensor((std * values).astype(numpy.float32).reshape(shape))


class Model:
    def __init__(self, c):
        self.c, self.parameters, self.decayed, self.stream = c, {}, [], 0
        d, h, g, s, f = c["width"], c["heads"], c["groups"], c["head_size"], c["ff"]
        std, out = c["std"], c["std"] / math.sqrt(2 * c["layers"])
        self.matrix("embedding.weight", (c["vocabulary"], d), std)
        if c["gpt"]:
            self.matrix("embedding.position.weight", (c["tokens"], d), std)
        for i in range(c["layers"]):
            p = f"layers.{i}."
            self.norm(p + "attention_norm", d)
            for name, n in (("q", h), ("k", g), ("v", g)):
                self.linear(p + "attention." + name, n * s, d, std, bias=c["gpt"] or c.get("qkv_bias", False))
            if c.get("qk_norm"):
                self.norm(p + "attention.q_norm", s)
                self.norm(p + "attention.k_norm", s)
            self.linear(p + "attention.output", d, h * s, out)
            self.norm(p + "feed_forward_norm", d)
            if not c["gpt"]:
                self.linear(p + "feed_forward.gate", f, d, std)
            self.linear(p + "feed_forward.up", f, d, std)
            self.linear(p + "feed_forward.down", d, f, out)
        self.norm("head.norm", d)
        if not c["tied"]:
            self.matrix("head.weight", (c["vocabulary"], d), std)

    def add(self, name, value, decay):
        self.parameters[name] = value.requires_grad_()
        self.stream += 1
        if decay:
            self.decayed.append(name)

    def matrix(self, name, shape, std):
        self.add(name, normal(self.c["seed"], self.stream, shape, std), True)

    def linear(self, name, rows, columns, std, bias=None):
        self.matrix(name + ".weight", (rows, columns), std)
        if self.c["gpt"] if bias is None else bias:
            self.add(name + ".bias", torch.zeros(rows), False)

    def norm(self, name, width):
        self.add(name + ".weight", torch.ones(width), False)
        if self.c["gpt"] or self.c.get("layer_norm"):
            self.add(name + ".bias", torch.zeros(width), False)

    def apply_linear(self, x, name):
        return F.linear(x, self.parameters[name + ".weight"], self.parameters.get(name + ".bias"))

    def apply_norm(self, x, name):
        weight = self.parameters[name + ".weight"]
        if self.c["gpt"]:
            return F.layer_norm(x, (x.shape[-1],), weight, self.parameters[name + ".bias"], self.c["epsilon"])
        return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.c["epsilon"]))

    def rotate(self, x):
        half = x.shape[-1] // 2
        inverse = 1.0 / (self.c["theta"] ** (torch.arange(0, half, dtype=torch.float32) * 2 / x.shape[-1]))
        angle = torch.outer(torch.arange(x.shape[1], dtype=torch.float32), inverse)[None, :, None, :]
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)

    def loss(self, tokens, labels):
        c, p = self.c, self.parameters
        batch, length = tokens.shape
        x = F.embedding(tokens, p["embedding.weight"])
        if c["gpt"]:
            x = x + p["embedding.position.weight"][:length]
        for i in range(c["layers"]):
            prefix = f"layers.{i}."
            n = self.apply_norm(x, prefix + "attention_norm")
            q, k, v = (self.apply_linear(n, prefix + "attention." + name).view(batch, length, -1, c["head_size"]) for name in "qkv")
            if not c["gpt"]:
                q, k = self.rotate(q), self.rotate(k)
            q, k, v = (t.transpose(1, 2) for t in (q, k, v))
            repeat = c["heads"] // c["groups"]
            k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
            scores = q @ k.transpose(-1, -2) / math.sqrt(c["head_size"])
            mask = torch.ones(length, length, dtype=torch.bool).tril()
            y = scores.masked_fill(~mask, -math.inf).softmax(-1) @ v
            x = x + self.apply_linear(y.transpose(1, 2).reshape(batch, length, -1), prefix + "attention.output")
            n = self.apply_norm(x, prefix + "feed_forward_norm")
            hidden = self.apply_linear(n, prefix + "feed_forward.up")
            if c["gpt"]:
                hidden = 0.5 * hidden * (1 + torch.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
            else:
                hidden = F.silu(self.apply_linear(n, prefix + "feed_forward.gate")) * hidden
            x = x + self.apply_linear(hidden, prefix + "feed_forward.down")
        x = self.apply_norm(x, "head.norm")
        logits = x @ p["embedding.weight" if c["tied"] else "head.weight"].T
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), labels.reshape(-1))


class Transformers(Model):
    """A model of transformers with the same weights under its own names."""

    def __init__(self, c):
        super().__init__(c)
        config = transformers.AutoConfig.for_model(
            c["family"], hidden_size=c["width"], intermediate_size=c["ff"], num_hidden_layers=c["layers"], num_attention_heads=c["heads"],
            num_key_value_heads=c["groups"], vocab_size=c["vocabulary"], tie_word_embeddings=c["tied"], pad_token_id=None,
            max_position_embeddings=c.get("positions", c["tokens"]), attn_implementation="eager", dtype=torch.float32, **c["config"])
        self.module = transformers.AutoModelForCausalLM.from_config(config).train()
        names = dict(self.module.named_parameters())
        self.names = {self.rename(name): value for name, value in self.parameters.items()}
        assert names.keys() == self.names.keys(), names.keys() ^ self.names.keys()
        assert all(names[name].shape == value.shape for name, value in self.names.items())

    @staticmethod
    def rename(name):
        for ours, theirs in (("embedding.", "model.embed_tokens."), ("head.norm", "model.norm"), ("head.", "lm_head."), ("layers.", "model.layers."),
                             (".attention_norm.", ".input_layernorm."), (".feed_forward_norm.", ".post_attention_layernorm."),
                             (".output.", ".o."), (".attention.", ".self_attn."), (".feed_forward.", ".mlp.")):
            name = name.replace(ours, theirs) if ours[0] == "." else theirs + name[len(ours):] if name.startswith(ours) else name
        parts = name.split(".")
        if parts[-2] in ("q", "k", "v", "o", "gate", "up", "down"):
            parts[-2] += "_proj"
        return ".".join(parts)

    def loss(self, tokens, labels):
        logits = torch.func.functional_call(self.module, self.names, (tokens,), dict(use_cache=False)).logits
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), labels.reshape(-1))


def train(case):
    c = case["model"]
    model = Transformers(c) if "family" in c else Model(c)
    text = case["text"].encode()
    assert len(text) == c["tokens"] + 1
    ids = torch.tensor(list(text))[None].repeat(case["batch"], 1)
    decayed = [model.parameters[name] for name in model.decayed]
    others = [value for name, value in model.parameters.items() if name not in model.decayed]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
    losses, norms = [], []
    for _ in range(case["steps"]):
        optimizer.zero_grad()
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(list(model.parameters.values()), 1.0)))
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, norms


def overrides(case):
    """The same experiment as keys of ours, over configs/experiments/cpu/llama-tiny.yaml."""
    c = case["model"]
    keys = dict(num_layers=c["layers"], hidden_size=c["width"], ffn_hidden_size=c["ff"], num_attention_heads=c["heads"],
                group_query_attention="true", num_query_groups=c["groups"], kv_channels=c["head_size"], seq_length=c["tokens"],
                max_position_embeddings=c["tokens"], init_method_std=c["std"], layernorm_epsilon=c["epsilon"], seed=c["seed"],
                untie_embeddings_and_output_weights=str(not c["tied"]).lower(), bf16="false", micro_batch_size=case["micro_batch"],
                global_batch_size=case["batch"], train_iters=case["steps"], lr=0.001, min_lr=0.001, lr_decay_style="constant",
                lr_warmup_iters=0, weight_decay=0.1, adam_beta1=0.9, adam_beta2=0.95, adam_eps=1e-8, clip_grad=1.0, eval_iters=0)
    if c["gpt"]:
        keys.update(normalization="LayerNorm", position_embedding_type="learned_absolute", swiglu="false", add_bias_linear="true")
    else:
        keys.update(normalization="RMSNorm", position_embedding_type="rope", rotary_base=c["theta"], swiglu="true", add_bias_linear="false")
    keys.update(c.get("keys", {}))
    return [f"{key}={value}" for key, value in keys.items()]


def make_text(length):
    pattern = "The quick brown fox jumps over the lazy dog; 0123456789 times {} and (never) again.\n"
    return "".join(pattern.format(i) for i in range(length))[:length]


def main():
    base = dict(seed=1234, vocabulary=256, std=0.02, epsilon=1e-5, theta=10000)
    cases = [
        dict(name="llama", batch=2, micro_batch=2, steps=6, model=dict(
            base, gpt=False, tied=False, layers=2, width=64, heads=4, groups=2, head_size=16, ff=96, tokens=64)),
        dict(name="llama-tied-odd", batch=6, micro_batch=2, steps=6, model=dict(
            base, gpt=False, tied=True, layers=3, width=72, heads=3, groups=1, head_size=24, ff=97, tokens=131, theta=500000)),
        dict(name="gpt2", batch=2, micro_batch=1, steps=6, model=dict(
            base, gpt=True, tied=True, layers=2, width=96, heads=6, groups=6, head_size=16, ff=384, tokens=48)),
    ]
    # Families of transformers; wide weights, so that attention is far from uniform.
    family = dict(base, gpt=False, tied=False, std=0.15, layers=2, width=64, heads=4, groups=2, head_size=16, ff=96, tokens=64)
    rope = lambda theta, **more: dict(rope_parameters=dict(dict(rope_type="default", rope_theta=theta), **more))
    models = {
        "qwen2": dict(family, family="qwen2", tied=True, qkv_bias=True, theta=1000000, config=dict(rms_norm_eps=1e-5, **rope(1000000)),
                      keys=dict(add_qkv_bias="true")),
        "qwen3": dict(family, family="qwen3", qk_norm=True, head_size=24, theta=1000000, epsilon=1e-6,
                      config=dict(rms_norm_eps=1e-6, head_dim=24, **rope(1000000)), keys=dict(qk_layernorm="true")),
        "mistral-window": dict(family, family="mistral", config=dict(rms_norm_eps=1e-5, sliding_window=19, head_dim=16, **rope(10000)),
                               keys=dict(window_size="[18, 0]")),
        # This base puts frequencies of a head of 16 into each of the three ranges of the scaling.
        "llama-rope-scaling": dict(family, family="llama", tokens=192, positions=131072, config=dict(rms_norm_eps=1e-5, **rope(
            10000, rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)),
            keys=dict(use_rope_scaling="true", rope_scaling_factor=32)),
        "stablelm-partial-rotary": dict(family, family="stablelm", layer_norm=True, config=dict(
            layer_norm_eps=1e-5, use_qkv_bias=False, use_parallel_residual=False, **rope(10000, partial_rotary_factor=0.5)),
            keys=dict(normalization="LayerNorm", rotary_percent=0.5)),
    }
    cases += [dict(name=name, batch=2, micro_batch=2, steps=6, model=model) for name, model in models.items()]
    for case in cases:
        case["text"] = make_text(case["model"]["tokens"] + 1)
        case["losses"], case["grad_norms"] = train(case)
        case["overrides"] = overrides(case)
    json.dump({"torch": torch.__version__, "transformers": transformers.__version__, "cases": [{k: v for k, v in case.items() if k != "model"} for case in cases]},
              sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
