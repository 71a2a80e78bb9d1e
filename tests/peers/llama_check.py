"""A GGUF export in llama.cpp, against the host.

    python llama_check.py MODEL.gguf HOST RUN PHASE

PyPI has no wheel of llama.cpp alone; that of `gpt4all` brings a copy from 2024 for the CPU.
"""

import subprocess
import sys
from pathlib import Path

from gpt4all import GPT4All

N_TOKENS = 40
PROMPTS = ("Mira", "On Monday", "The red")


def host_text(host, run, phase, prompt):
    command = [host, "generate", prompt, "--run", run, "--phase", phase, "--raw",
               "--temperature", "0", "--max-new-tokens", str(N_TOKENS)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    path, host, run, phase = Path(sys.argv[1]), *sys.argv[2:5]
    model = GPT4All(
        path.name, model_path=str(path.parent), allow_download=False, device="cpu", n_ctx=128
    )
    for prompt in PROMPTS:
        wanted = host_text(host, run, phase, prompt)
        got = model.generate(prompt, max_tokens=N_TOKENS, temp=0.0, top_k=1, repeat_penalty=1.0)
        assert got.strip() and got.strip() == wanted.strip(), (prompt, got, wanted)
        print(f"{prompt!r} goes on the same: {got[:60]!r}")
