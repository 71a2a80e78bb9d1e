"""A Hugging Face export as `transformers` loads it, against the host and our own weights.

    python transformers_check.py HF_DIR OURS_DIR HOST ENCODE RUN PHASE

`OURS_DIR` is the export in our own format, `HOST` the host's binary, `ENCODE` the example of that
name, `RUN` the run and `PHASE` its phase. The model must load as a stock Llama, give the logits of
`pytorch_gpt.py` with our weights and the log probabilities that the host reports, continue greedily
with the same 50 tokens, and its tokenizer must give the same ids for texts and conversations.
"""

import json
import subprocess
import sys
from pathlib import Path

import torch
from pytorch_gpt import Config, load
from transformers import AutoModelForCausalLM, AutoTokenizer

N_TOKENS = 50

TEXTS = [
    "Mira hid a red kite.",
    " leading and trailing  ",
    "tabs\tand\n\nnewlines\r\n",
    "naïve café, 日本語, Здравствуйте, 🦊👩‍👩‍👧",
    "don't we'll I'VE 12345 3.14 a_b-c",
    "",
]

CONVERSATIONS = [
    [{"role": "user", "content": "Where is the kite?"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello  there\n"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "naïve 🦊?"},
    ],
]


def load_stock(directory):
    model, info = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True
    )
    assert type(model).__name__ == "LlamaForCausalLM", type(model)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[what], (what, info[what])
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    return model.eval()


def compare_logits(model, ours, config):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(config.V, (4, config.T), generator=generator)
    with torch.no_grad():
        difference = (model(ids).logits - ours(ids)).abs().max().item()
    print(f"logits of 4 x {config.T} random ids within {difference:.1e}")
    assert difference < 1e-4, difference


def compare_ids(tokenizer, encode, ours_dir, is_chat):
    lines = TEXTS + (CONVERSATIONS if is_chat else [])
    text = "".join(json.dumps(line) + "\n" for line in lines)
    result = subprocess.run([encode, ours_dir], input=text, capture_output=True, text=True, check=True)
    ours = [json.loads(line) for line in result.stdout.splitlines()]
    for line, wanted in zip(lines, ours, strict=True):
        if isinstance(line, str):
            got = tokenizer(line, add_special_tokens=False)["input_ids"]
            assert tokenizer.decode(got) == line, (line, tokenizer.decode(got))
        else:
            got = tokenizer.apply_chat_template(line, add_generation_prompt=True, return_dict=False)
        assert list(got) == wanted, (line, got, wanted)
    print(f"{len(lines)} texts and conversations: the same ids")


def host_tokens(host, run, phase, prompt, is_chat):
    command = [host, "generate", prompt, "--run", run, "--phase", phase, "--json",
               "--trace-layer", "0", "--temperature", "0", "--max-new-tokens", str(N_TOKENS)]
    command += [] if is_chat else ["--raw"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def compare_generation(model, tokenizer, prompt, host_reply, is_chat):
    if is_chat:
        messages = [{"role": "user", "content": prompt}]
        ids = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]
    else:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    n_prompt = ids.shape[1]
    assert n_prompt == host_reply["prompt_tokens"], (n_prompt, host_reply["prompt_tokens"])
    wanted = [step["id"] for step in host_reply["steps"]]
    with torch.no_grad():
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=N_TOKENS
        )[0]
        scores = model(out[None]).logits[0].log_softmax(-1)
    got = out[n_prompt:].tolist()
    if host_reply["stop_reason"] == "stop":
        assert got[-1] == model.generation_config.eos_token_id, got
        got = got[:-1]
    assert got == wanted, (got, wanted)
    assert tokenizer.decode(got, skip_special_tokens=True) == host_reply["text"]
    here = [scores[n_prompt - 1 + i, id].item() for i, id in enumerate(got)]
    there = [step["logprob"] for step in host_reply["steps"]]
    difference = max((abs(a - b) for a, b in zip(here, there)), default=0.0)
    print(f"{len(got)} greedy tokens the same, log probabilities within {difference:.1e}: "
          f"{host_reply['text'][:60]!r}")
    assert difference < 1e-4, difference


if __name__ == "__main__":
    hf_dir, ours_dir, host, encode, run, phase = sys.argv[1:7]
    settings = json.loads((Path(ours_dir) / "model.json").read_text())["settings"]
    is_chat = settings["chat"]
    config = Config(**settings["model"])
    model = load_stock(hf_dir)
    tokenizer = AutoTokenizer.from_pretrained(hf_dir)
    ours = load(config, Path(ours_dir) / "model.safetensors").eval()
    compare_logits(model, ours, config)
    compare_ids(tokenizer, encode, ours_dir, is_chat)
    for prompt in ("Once", "Where is the kite?"):
        reply = host_tokens(host, run, phase, prompt, is_chat)
        compare_generation(model, tokenizer, prompt, reply, is_chat)
