"""Writes one tiny random model in the layouts that people have, with PyTorch 2.11:

  tiny/hf/        pytorch_model-0000N-of-00002.bin, index, config.json   (half-split rotary order)
  tiny/train.pt   {"model": state_dict, "optimizer", "epoch", "config"}  (the same tensors)
  tiny/meta/      consolidated.00.pth, consolidated.01.pth, params.json  (interleaved rotary order, two ranks)
  tiny/whisper.pt {"dims", "model_state_dict"}, half precision, English vocabulary
  tiny/overflow.pt  one float32 matrix with values that float16 cannot hold
"""
import json, os, torch

dim, layers, heads, kv, ffn, vocab = 16, 2, 4, 2, 24, 32
torch.manual_seed(7)
def r(*s): return torch.randn(*s).half()

sd = {"model.embed_tokens.weight": r(vocab, dim)}
for i in range(layers):
    p, hd = f"model.layers.{i}.", dim // heads
    sd |= {p + "self_attn.q_proj.weight": r(dim, dim), p + "self_attn.k_proj.weight": r(kv * hd, dim),
           p + "self_attn.v_proj.weight": r(kv * hd, dim), p + "self_attn.o_proj.weight": r(dim, dim),
           p + "mlp.gate_proj.weight": r(ffn, dim), p + "mlp.up_proj.weight": r(ffn, dim), p + "mlp.down_proj.weight": r(dim, ffn),
           p + "input_layernorm.weight": r(dim), p + "post_attention_layernorm.weight": r(dim)}
sd |= {"model.norm.weight": r(dim), "lm_head.weight": r(vocab, dim)}
config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": dim, "intermediate_size": ffn, "num_hidden_layers": layers,
          "num_attention_heads": heads, "num_key_value_heads": kv, "vocab_size": vocab, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
          "max_position_embeddings": 64, "tie_word_embeddings": False, "torch_dtype": "float16"}

os.makedirs("tiny/hf", exist_ok=True); os.makedirs("tiny/meta", exist_ok=True)
names, half = list(sd), len(sd) // 2
index = {"metadata": {}, "weight_map": {}}
for n, part in enumerate((names[:half], names[half:]), 1):
    f = f"pytorch_model-{n:05d}-of-00002.bin"
    torch.save({k: sd[k] for k in part}, "tiny/hf/" + f)
    index["weight_map"] |= {k: f for k in part}
json.dump(index, open("tiny/hf/pytorch_model.bin.index.json", "w"), indent=1)
json.dump(config, open("tiny/hf/config.json", "w"), indent=1)
torch.save({"model": sd, "optimizer": {"state": {0: {"exp_avg": r(4)}}, "param_groups": [{"lr": 0.1}]}, "epoch": 1, "config": config}, "tiny/train.pt")

def interleave(t, h): return t.view(h, 2, t.shape[0] // h // 2, dim).transpose(1, 2).reshape(t.shape)
meta = {"tok_embeddings.weight": (sd["model.embed_tokens.weight"], 1), "norm.weight": (sd["model.norm.weight"], None), "output.weight": (sd["lm_head.weight"], 0)}
for i in range(layers):
    s, t = f"model.layers.{i}.", f"layers.{i}."
    meta |= {t + "attention.wq.weight": (interleave(sd[s + "self_attn.q_proj.weight"], heads), 0), t + "attention.wk.weight": (interleave(sd[s + "self_attn.k_proj.weight"], kv), 0),
             t + "attention.wv.weight": (sd[s + "self_attn.v_proj.weight"], 0), t + "attention.wo.weight": (sd[s + "self_attn.o_proj.weight"], 1),
             t + "feed_forward.w1.weight": (sd[s + "mlp.gate_proj.weight"], 0), t + "feed_forward.w2.weight": (sd[s + "mlp.down_proj.weight"], 1),
             t + "feed_forward.w3.weight": (sd[s + "mlp.up_proj.weight"], 0), t + "attention_norm.weight": (sd[s + "input_layernorm.weight"], None),
             t + "ffn_norm.weight": (sd[s + "post_attention_layernorm.weight"], None)}
for rank in range(2):
    torch.save({k: (t if a is None else t.chunk(2, a)[rank].clone()) for k, (t, a) in meta.items()}, f"tiny/meta/consolidated.{rank:02d}.pth")
json.dump({"dim": dim, "n_layers": layers, "n_heads": heads, "n_kv_heads": kv, "vocab_size": vocab, "norm_eps": 1e-5, "rope_theta": 10000.0}, open("tiny/meta/params.json", "w"))

state, n_vocab = 4, 51864
w = {"encoder.positional_embedding": torch.randn(1500, state), "encoder.conv1.weight": r(state, 80, 3), "encoder.conv1.bias": r(state),
     "encoder.conv2.weight": r(state, state, 3), "encoder.conv2.bias": r(state)}
def attention(p):
    for n in ("query", "key", "value", "out"):
        w[f"{p}.{n}.weight"] = r(state, state)
        if n != "key": w[f"{p}.{n}.bias"] = r(state)
    w[f"{p}_ln.weight"], w[f"{p}_ln.bias"] = r(state), r(state)
def mlp(p): w.update({p + ".mlp.0.weight": r(4 * state, state), p + ".mlp.0.bias": r(4 * state), p + ".mlp.2.weight": r(state, 4 * state), p + ".mlp.2.bias": r(state),
                      p + ".mlp_ln.weight": r(state), p + ".mlp_ln.bias": r(state)})
attention("encoder.blocks.0.attn"); mlp("encoder.blocks.0")
w |= {"encoder.ln_post.weight": r(state), "encoder.ln_post.bias": r(state), "decoder.token_embedding.weight": torch.zeros(n_vocab, state).half(),
      "decoder.positional_embedding": torch.randn(448, state)}
attention("decoder.blocks.0.attn"); attention("decoder.blocks.0.cross_attn"); mlp("decoder.blocks.0")
w |= {"decoder.ln.weight": r(state), "decoder.ln.bias": r(state)}
dims = {"n_mels": 80, "n_vocab": n_vocab, "n_audio_ctx": 1500, "n_audio_state": state, "n_audio_head": 1, "n_audio_layer": 1,
        "n_text_ctx": 448, "n_text_state": state, "n_text_head": 1, "n_text_layer": 1}
torch.save({"dims": dims, "model_state_dict": w}, "tiny/whisper.pt")

big = torch.zeros(8, 512); big[3, 7] = 70000.0; big[5, 1] = -1e30; big[0, 0] = float("inf"); big[1, 1] = 65519.0
torch.save({"w.weight": big}, "tiny/overflow.pt")
