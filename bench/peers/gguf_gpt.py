# Writes a GPT of random numbers for llama.cpp: python3 gguf_gpt.py w6|w7 FILE
import sys
import gguf
import numpy as np

V, C, D, L, H = {"w6": (65, 256, 384, 6, 6), "w7": (50257, 1024, 768, 12, 12)}[sys.argv[1]]
w = gguf.GGUFWriter(sys.argv[2], "gpt2")
w.add_context_length(C)
w.add_embedding_length(D)
w.add_feed_forward_length(4 * D)
w.add_block_count(L)
w.add_head_count(H)
w.add_layer_norm_eps(1e-5)
w.add_file_type(gguf.LlamaFileType.ALL_F32)
w.add_vocab_size(V)
w.add_tokenizer_model("no_vocab")
rng = np.random.default_rng(1)

def add(name, *shape):
    w.add_tensor(name, rng.uniform(-0.05, 0.05, shape).astype(np.float32))

add("token_embd.weight", V, D)
add("position_embd.weight", C, D)
for i in range(L):
    for n, o, k in [("attn_qkv", 3 * D, D), ("attn_output", D, D), ("ffn_up", 4 * D, D), ("ffn_down", D, 4 * D)]:
        add(f"blk.{i}.{n}.weight", o, k)
        add(f"blk.{i}.{n}.bias", o)
    for n in "attn_norm", "ffn_norm":
        add(f"blk.{i}.{n}.weight", D)
        add(f"blk.{i}.{n}.bias", D)
add("output_norm.weight", D)
add("output_norm.bias", D)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
