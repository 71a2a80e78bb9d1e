"""The exported JSON Schema, by the tools that editors and users check files with.

    python schema_check.py HOST CONFIGS

HOST is a built host with the first-party plugins beside it, CONFIGS the directory of the shipped
profiles. Every profile must be accepted, by the `jsonschema` library and by `check-jsonschema`; every
broken variant must be refused, by the schema and by the host itself.
"""

import copy
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from jsonschema import Draft202012Validator

# What is changed in a shipped profile: a name, the profile, the dotted key, the value.
BROKEN = [
    ("a misspelt key", "smoke-pretrain", "pretrain.training.total_step", 2),
    ("a misspelt block", "smoke-pretrain", "pretrain.trainin.total_steps", 2),
    ("a misspelt phase", "smoke-pretrain", "pretrian.training.total_steps", 2),
    ("a string for a number", "smoke-pretrain", "pretrain.training.total_steps", "2"),
    ("a number for a mapping", "smoke-pretrain", "pretrain.model", 256),
    ("a fraction for a count", "smoke-pretrain", "pretrain.model.L", 2.5),
    ("a string for a truth value", "smoke-sft", "sft.data.pack", "yes"),
    ("below the range", "smoke-pretrain", "pretrain.model.V", 0),
    ("above the range", "smoke-pretrain", "pretrain.model.dropout", 1.0),
    ("an item out of range", "smoke-pretrain", "pretrain.training.betas", [0.9, 1.5]),
    ("a list of the wrong length", "smoke-pretrain", "pretrain.training.betas", [0.9]),
    ("a key of another phase", "smoke-pretrain", "pretrain.data.pack", True),
    ("a key of `global` in a section", "smoke-pretrain", "pretrain.generation.seed", 3),
    ("a key of a section in `global`", "smoke-pretrain", "global.total_steps", 3),
    ("an unknown choice", "smoke-sft", "sft.training.best_metric", "loss"),
    ("an unknown kind", "smoke-pretrain", "pretrain.tokenizer.kind", "bytes"),
    ("a kind without what it needs", "smoke-pretrain", "pretrain.tokenizer.kind", "train"),
    ("a key of another kind", "smoke-pretrain", "pretrain.data.sources.world.path", "a.txt"),
    ("an empty mix", "smoke-pretrain", "pretrain.data.mix", {}),
    ("a part of a mix above 1", "smoke-pretrain", "pretrain.data.mix.world", 1.5),
    ("an unknown device", "smoke-pretrain", "global.device", "gpu"),
    ("an unknown type", "smoke-pretrain", "global.dtype", "int8"),
    ("a phase listed twice", "pipeline-smoke", "phases", ["pretrain", "sft", "sft"]),
    ("a section of an unknown phase", "pipeline-smoke", "again", {"phase": "fine-tune"}),
    ("a base that is no name", "pipeline-smoke", "sft.extends", 3),
    ("an unknown key of a profile", "smoke-pretrain", "profile.about", "a text"),
]

# What must stay allowed: none of these is in a shipped profile.
SOUND = [
    ("a schema key", "smoke-pretrain", "$schema", "./host.schema.json"),
    ("nulls", "smoke-pretrain", "pretrain.training.grad_clip", None),
    (
        "a part of what a base has",
        "smoke-pretrain",
        "pretrain",
        {"extends": "exp-t512-cp", "tokenizer": {"vocab_size": 15000}},
    ),
    ("an old spelling", "smoke-pretrain", "global.dtype", "fp32"),
    ("a whole number written as a fraction", "smoke-pretrain", "pretrain.training.total_steps", 2.0),
    ("an old key", "smoke-pretrain", "pretrain.data.mix_pretrain", {"world": 1.0}),
]


def changed(profile, key, value):
    """The profile with one more setting; a path ends where it meets something other than a mapping."""
    profile = copy.deepcopy(profile)
    *parents, last = key.split(".")
    place = profile
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return profile


def host_accepts(host, document):
    """Whether the host itself finds no fault."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        run = subprocess.run(
            [host, "config", "validate", "--config", file.name], capture_output=True, text=True
        )
    if run.returncode not in (0, 2):
        sys.exit(f"the host ended with {run.returncode}: {run.stderr}")
    return run.returncode == 0


def main(host, configs):
    exported = subprocess.run([host, "config", "schema"], check=True, capture_output=True)
    schema = json.loads(exported.stdout)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    paths = sorted(Path(configs).glob("*.toml"))
    profiles = {path.stem: tomllib.loads(path.read_text()) for path in paths}

    faults = []
    for name, profile in profiles.items():
        faults += [f"{name}: {e.json_path}: {e.message}" for e in validator.iter_errors(profile)]
    print(f"{len(profiles)} shipped profiles are accepted by jsonschema")

    for cases, is_good in [(BROKEN, False), (SOUND, True)]:
        for what, name, key, value in cases:
            document = changed(profiles[name], key, value)
            for judge, accepts in [
                ("schema", validator.is_valid(document)),
                ("host", host_accepts(host, document)),
            ]:
                if accepts != is_good:
                    faults.append(f"{what}: the {judge} says the opposite: {key} = {value!r}")
        verdict = "accepted" if is_good else "refused"
        kind = "sound" if is_good else "broken"
        print(f"{len(cases)} {kind} variants are {verdict}, by schema and host")

    if faults:
        sys.exit("\n".join(faults))
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "host.schema.json")
        file.write_text(json.dumps(schema))
        tool = Path(sys.executable).with_name("check-jsonschema")
        command = [tool, "--schemafile", file]
        subprocess.run([tool, "--check-metaschema", file], check=True)
        subprocess.run([*command, *paths], check=True)
        broken = Path(directory, "broken.json")
        for what, name, key, value in BROKEN:
            broken.write_text(json.dumps(changed(profiles[name], key, value)))
            if subprocess.run([*command, broken], capture_output=True).returncode != 1:
                sys.exit(f"check-jsonschema accepts {what}")
    print(f"check-jsonschema accepts the {len(paths)} and refuses the {len(BROKEN)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
