#!/usr/bin/env python3
"""Loss, logits and all gradients of tiny models by transformers, for tests/e2e/huggingface.py.

Needs torch and transformers; their versions are written into the file. Parameters come from a seed, gradients are kept as
their norms and a few random projections, so that the file stays small.

    tests/goldens/make_huggingface.py > tests/goldens/huggingface.json
"""
import copy
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers

from checkpoints import make_values, project, random_bytes

torch.set_num_threads(1)


def make_inputs(name, batch, tokens, vocabulary, ignored):
    ids = [b * 7 % vocabulary for b in random_bytes(name, batch * tokens)]
    labels = [-100 if ignored and b < 80 else i for i, b in zip(ids, random_bytes(name, len(ids), seed=2))]
    return ids, labels


def summarise(name, tensor):
    values = tensor.detach().double().flatten().tolist()
    return {"norm": float(f"{tensor.double().norm().item():.9g}"), "projections": [float(f"{p:.9g}") for p in project(name, values)]}


def compute(case):
    cls = getattr(transformers, case["config"]["architectures"][0])
    config = cls.config_class.from_dict(copy.deepcopy(case["config"]))
    config._attn_implementation = "eager"
    model = cls(config).eval()
    parameters = dict(model.named_parameters())
    case["parameters"] = [[name, list(p.shape)] for name, p in parameters.items()]
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(torch.tensor(make_values(name, p.shape)).reshape(p.shape))
    batch, tokens = case["batch"], case["tokens"]
    ids, labels = make_inputs(case["name"], batch, tokens, config.vocab_size, case["ignored"])
    case["input_ids"], case["labels"] = ids, labels
    out = model(input_ids=torch.tensor(ids).reshape(batch, tokens), labels=torch.tensor(labels).reshape(batch, tokens))
    out.loss.backward()
    case["loss"] = out.loss.item()
    case["logits"] = summarise("logits", out.logits)
    case["gradients"] = {name: summarise(name, p.grad) for name, p in parameters.items()}


PAD = make_inputs("llama-tied", 3, 7, 97, False)[0][4]
LLAMA = dict(architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=97, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5, tie_word_embeddings=False)
QWEN2 = dict(LLAMA, architectures=["Qwen2ForCausalLM"], model_type="qwen2", rope_theta=1000000.0)
GPT2 = dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", vocab_size=97, n_embd=64, n_layer=2, n_head=4, n_positions=32)
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)


def main():
    cases = [
        # Pairs of the 16 elements of a head fall into all three bands of the scaling.
        dict(name="llama3.1", batch=2, tokens=24, ignored=True, stored={},
             config=dict(LLAMA, attention_bias=True, mlp_bias=True, rope_theta=500000.0, rope_scaling=dict(LLAMA3, rope_type="llama3"))),
        dict(name="llama-tied", batch=3, tokens=7, ignored=False,
             stored=dict(dtype="BF16", shards=3, buffers=[["model.layers.0.self_attn.rotary_emb.inv_freq", [12]]]),
             # The padding token occurs: its row learns from the head alone.
             config=dict(LLAMA, hidden_size=60, num_attention_heads=3, num_key_value_heads=1, head_dim=24, tie_word_embeddings=True, pad_token_id=PAD,
                         rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0))),
        dict(name="gpt2", batch=2, tokens=12, ignored=True,
             stored=dict(dtype="F16", drop_prefix="transformer.", copies=[["lm_head.weight", "transformer.wte.weight"]],
                         buffers=[["h.0.attn.bias", [1, 1, 32, 32]], ["h.1.attn.masked_bias", []]]),
             config=dict(GPT2, activation_function="gelu_new", attn_pdrop=0.1, embd_pdrop=0.1, resid_pdrop=0.1)),
        dict(name="gpt2-untied", batch=1, tokens=32, ignored=False, stored=dict(dtype="F64"),
             config=dict(GPT2, n_embd=60, n_head=5, n_inner=100, n_layer=3, tie_word_embeddings=False, scale_attn_by_inverse_layer_idx=True)),
        # The first layer sees everything, the second a window.
        dict(name="qwen2", batch=2, tokens=11, ignored=True, stored={},
             config=dict(QWEN2, use_sliding_window=True, sliding_window=4, max_window_layers=1, tie_word_embeddings=True)),
        dict(name="qwen3", batch=2, tokens=11, ignored=False, stored={},
             config=dict(LLAMA, architectures=["Qwen3ForCausalLM"], model_type="qwen3", head_dim=24, rope_theta=1000000.0, rms_norm_eps=1e-6)),
        dict(name="mistral", batch=2, tokens=11, ignored=False, stored={},
             config=dict(LLAMA, architectures=["MistralForCausalLM"], model_type="mistral", sliding_window=4)),
    ]
    for case in cases:
        compute(case)
    print('{"torch": "%s", "transformers": "%s", "cases": [' % (torch.__version__, transformers.__version__))
    print(",\n".join(json.dumps(case) for case in cases))
    print("]}")


if __name__ == "__main__":
    main()
