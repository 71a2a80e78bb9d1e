"""Compares our tokenizers with those of others; not part of `cargo test`.

    pip install tokenizers==0.23.3 transformers==5.24.0 tiktoken==0.14.0 sentencepiece==0.2.3
    python plugins/tokenizer/tests/peers/compare.py [TEXT_FILE ...]

Each export must load in `tokenizers` and in `transformers` and give our ids for thousands of texts;
SentencePiece models must give the ids of `sentencepiece`, also with the full `nmt_nfkc` map, which
is too big for a fixture; and GPT-2 those of `tiktoken`, where its file can be had.

What differs, and is known to: `tokenizers` normalises by grapheme clusters where `sentencepiece`
and we take the longest entry of the map, so exports differ on odd sequences of marks; it takes
`<0x41>` for a byte where the vocabulary lacks one of its characters; and it drops one leading space
more or less in decoding.

Prints a line for each comparison, and ends with 1 if one differs.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

import sentencepiece as spm
import tokenizers
import transformers

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "fixtures"))
import make  # noqa: E402


def texts(files):
    """The fixtures' texts, random Unicode, random mixtures, and paragraphs of files."""
    draw = random.Random(3)
    ranges = [(32, 127), (32, 127), (9, 14), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x5D0, 0x700),
              (0x900, 0xE80), (0x1100, 0x1200), (0x1E00, 0x2400), (0x3000, 0x3200), (0x4E00, 0x5000),
              (0xAC00, 0xAE00), (0xF900, 0xFB50), (0xFE70, 0xFFF0), (0x1D400, 0x1D800), (0x1F300, 0x1FA00)]
    char = lambda: chr(draw.randrange(*draw.choice(ranges)))
    yield from make.TEXTS
    yield from ("".join(char() for _ in range(draw.randrange(1, 30))) for _ in range(2000))
    words = list(make.corpus())
    for _ in range(1000):
        yield "".join(draw.choice([draw.choice(words), " ", "  ", "\n", char(), char() * 3]) for _ in range(8))
    for file in files:
        yield from pathlib.Path(file).read_text(encoding="utf-8").split("\n\n")[:3000]


def report(name, other, mine, theirs, cases):
    wrong = [(t, a, b) for t, a, b in zip(cases, mine, theirs, strict=True) if a != b]
    print(f"{name:24} {other:24} {len(cases) - len(wrong)} of {len(cases)} equal")
    for text, a, b in wrong[:5]:
        print(f"    {text[:60]!r}: {a[:12]} here, {b[:12]} there")
    return not wrong


def main():
    cases = list(texts(sys.argv[1:]))
    paragraphs = cases[len(make.TEXTS) + 3000 :]
    is_equal = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "texts.json").write_text(json.dumps(cases))
        models = sorted((HERE.parent / "fixtures").glob("*.model"))
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter([*make.corpus(), *paragraphs]), model_prefix=str(folder / "nfkc"), vocab_size=3000,
            model_type="unigram", byte_fallback=True, add_dummy_prefix=False, minloglevel=2,
            user_defined_symbols=make.SPECIAL, character_coverage=0.9995, hard_vocab_limit=False,
            max_sentence_length=100000,
        )
        models.append(folder / "nfkc.model")
        command = ["cargo", "run", "--release", "-q", "-p", "tokenizer", "--example", "export", "--"]
        subprocess.run([*command, folder / "texts.json", folder / "out", *models], check=True)
        for kind in sorted((folder / "out").iterdir()):
            ours = json.loads((kind / "ids.json").read_text())
            # Special texts are special there: here they are text.
            special = [*ours["texts"], "<unk>", "<s>", "</s>"]
            plain = [i for i, text in enumerate(cases) if not any(s in text for s in special)]
            mine, chosen = [ours["ids"][i] for i in plain], [cases[i] for i in plain]
            file = str(kind / "tokenizer.json")
            theirs = tokenizers.Tokenizer.from_file(file)
            ids = [theirs.encode(text).ids for text in chosen]
            is_equal.append(report(kind.name, "tokenizers", mine, ids, chosen))
            fast = transformers.PreTrainedTokenizerFast(tokenizer_file=file)
            ids = [fast(text)["input_ids"] for text in chosen]
            is_equal.append(report(kind.name, "transformers", mine, ids, chosen))
            # Unknown text is shown by SentencePiece's rule here, and not at all there.
            if kind.name != "plain":
                decoded = [theirs.decode(ids) for ids in mine]
                mine_decoded = [ours["decoded"][i] for i in plain]
                is_equal.append(report(kind.name, "tokenizers, decoded", mine_decoded, decoded, chosen))
            roles = list(ours["special"].values())
            is_equal.append(report(kind.name, "special tokens", [roles], [theirs.encode("".join(ours["texts"])).ids], ["specials"]))
        for path in models:
            ours = json.loads((folder / "out" / path.stem / "ids.json").read_text())
            reader = spm.SentencePieceProcessor(model_file=str(path))
            plain = [i for i, text in enumerate(cases) if not any(s in text for s in ours["texts"])]
            mine, chosen = [ours["ids"][i] for i in plain], [cases[i] for i in plain]
            is_equal.append(report(path.stem, "sentencepiece", mine, reader.encode(chosen), chosen))
        try:
            import tiktoken
            gpt2 = tiktoken.get_encoding("gpt2")
        except Exception as error:  # its file comes from the network
            print(f"gpt2 is not compared with tiktoken: {type(error).__name__}")
        else:
            ours = json.loads((folder / "out" / "gpt2" / "ids.json").read_text())
            is_equal.append(report("gpt2", "tiktoken", ours["ids"], [gpt2.encode_ordinary(t) for t in cases], cases))
    sys.exit(0 if all(is_equal) else 1)


if __name__ == "__main__":
    main()
