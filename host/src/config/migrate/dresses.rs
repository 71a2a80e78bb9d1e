//! Made-up old files in every dress that the formats have: orders, layouts, quotes, comments.

/// What writes a file from a number that decides all there is to choose.
pub(super) type Writer = fn(u64) -> String;

/// One for each format.
pub(super) const WRITERS: [(&str, Writer); 3] = [
    ("a.json", |seed| json(&mut Choices::new(seed))),
    ("a.yaml", |seed| with_line_ends(yaml, seed)),
    ("a.toml", |seed| with_line_ends(toml, seed)),
];

fn with_line_ends(write: fn(&mut Choices) -> String, seed: u64) -> String {
    let text = write(&mut Choices::new(seed));
    if seed.is_multiple_of(5) { text.replace('\n', "\r\n") } else { text }
}

/// A deterministic source of choices.
struct Choices(u64);

impl Choices {
    fn new(seed: u64) -> Self {
        Self(seed * 7919 + 17)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// The settings of a made-up file: blocks with keys and values in JSON's spelling.
fn settings(choices: &mut Choices) -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let learning = if choices.one_in(2) { "train" } else { "training" };
    let blocks = [
        (
            learning,
            vec![
                (
                    if choices.one_in(2) { "lr" } else { "base_lr" },
                    choices.of(&["1", "0.00003", "3E-5", "1.50"]),
                ),
                ("min_lr", choices.of(&["0", "1.0"])),
                ("optimizer", choices.of(&["\"AdamW\"", "\"adamw\"", "\"sgd\""])),
                ("norm", "\"rms\""),
                ("note", choices.of(&["\"# a \\\" b\"", "\"true\"", "\"x: y\"", "\"\""])),
                ("seed", choices.of(&["1", "2"])),
            ],
        ),
        (
            "data",
            vec![(
                if choices.one_in(2) { "mix_toy" } else { "mix" },
                choices.of(&["{\"a\": 0.50, \"b c\": 1}", "{}"]),
            )],
        ),
        ("files", vec![("path", "\"a/b\""), ("cache", choices.of(&["[1, [2, 0.10]]", "\"x\""]))]),
        (
            "",
            vec![
                ("device", choices.of(&["\"cpu\"", "\"cuda_if_available\""])),
                ("schema_version", "1"),
            ],
        ),
        ("global", vec![("dtype", choices.of(&["\"fp32\"", "\"float32\""])), ("seed", "1")]),
    ];
    let mut kept: Vec<_> = blocks
        .into_iter()
        .map(|(block, keys)| {
            (block, keys.into_iter().filter(|_| !choices.one_in(3)).collect::<Vec<_>>())
        })
        .filter(|(_, keys)| !keys.is_empty())
        .collect();
    let turn = choices.below(kept.len().max(1));
    kept.rotate_left(turn);
    if choices.one_in(2) {
        kept.reverse();
    }
    kept
}

fn comment(choices: &mut Choices, count: &mut usize) -> String {
    *count += 1;
    format!("# comment {count}{}", choices.of(&["", " 'it", " \"x", ": y", " # z"]))
}

fn json(choices: &mut Choices) -> String {
    let newline = choices.of(&["\n", "\r\n", " "]).to_owned();
    let step = if newline == " " { "" } else { choices.of(&["  ", "\t", "    "]) };
    let mut entries = Vec::new();
    for (block, keys) in settings(choices) {
        let keys: Vec<String> =
            keys.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        if block.is_empty() {
            entries.extend(keys);
        } else if choices.one_in(2) {
            entries.push(format!("\"{block}\": {{{}}}", keys.join(",")));
        } else {
            let separator = format!(",{newline}{step}{step}");
            entries.push(format!(
                "\"{block}\": {{{newline}{step}{step}{}{newline}{step}}}",
                keys.join(&separator)
            ));
        }
    }
    format!("{{{newline}{step}{}{newline}}}", entries.join(&format!(",{newline}{step}")))
}

fn yaml(choices: &mut Choices) -> String {
    let step = choices.of(&["  ", "    ", " "]);
    let (mut text, mut count) = (String::new(), 0);
    if choices.one_in(4) {
        text.push_str("---\n");
    }
    for (block, keys) in settings(choices) {
        if choices.one_in(3) {
            text.push('\n');
        }
        if choices.one_in(2) {
            text.push_str(&format!("{}\n", comment(choices, &mut count)));
        }
        let indent = if block.is_empty() { "" } else { step };
        if !block.is_empty() && choices.one_in(4) {
            let keys: Vec<String> =
                keys.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            let separator = choices.of(&[", ", ",\n      "]);
            text.push_str(&format!(
                "{block}: {{{}}} {}\n",
                keys.join(separator),
                comment(choices, &mut count)
            ));
            continue;
        }
        if !block.is_empty() {
            let tail = if choices.one_in(3) {
                format!("  {}", comment(choices, &mut count))
            } else {
                String::new()
            };
            text.push_str(&format!("{block}:{tail}\n"));
        }
        for (key, value) in keys {
            if choices.one_in(4) {
                text.push_str(&format!("{indent}{}\n", comment(choices, &mut count)));
            }
            let value = match value {
                "[1, [2, 0.10]]" if choices.one_in(2) => format!(
                    "\n{indent}- 1 {}\n{indent}-\n{indent}  - 2\n{indent}  # in\n{indent}  - 0.10",
                    comment(choices, &mut count)
                ),
                "\"x: y\"" if choices.one_in(2) => format!("|-\n{indent}  # x: y\n\n{indent}  'z"),
                "\"true\"" => "'it''s # true'".to_owned(),
                value => value.to_owned(),
            };
            let is_block = value.starts_with('|') || value.starts_with('\n');
            let tail = if !is_block && choices.one_in(3) {
                format!("   {}", comment(choices, &mut count))
            } else {
                String::new()
            };
            text.push_str(&format!("{indent}{key}: {value}{tail}\n"));
        }
    }
    if choices.one_in(2) {
        text.push_str(&format!("{}\n", comment(choices, &mut count)));
    }
    text
}

fn toml(choices: &mut Choices) -> String {
    let (mut text, mut count) = (String::new(), 0);
    let mut blocks = settings(choices);
    blocks.sort_by_key(|(block, _)| !block.is_empty());
    let is_dotted = choices.one_in(3);
    for (block, keys) in blocks {
        if choices.one_in(2) {
            text.push_str(&format!("\n{}\n", comment(choices, &mut count)));
        }
        if !block.is_empty() && !is_dotted {
            text.push_str(&format!("[{block}]"));
            let tail = if choices.one_in(3) {
                format!(" {}", comment(choices, &mut count))
            } else {
                String::new()
            };
            text.push_str(&format!("{tail}\n"));
        }
        for (key, value) in keys {
            if choices.one_in(4) {
                text.push_str(&format!("{}\n", comment(choices, &mut count)));
            }
            let prefix =
                if is_dotted && !block.is_empty() { format!("{block}.") } else { String::new() };
            let value = match value {
                "{\"a\": 0.50, \"b c\": 1}" => "{a = 0.50, \"b c\" = 1}".to_owned(),
                "[1, [2, 0.10]]" if choices.one_in(2) => {
                    format!("[ {}\n  1,\n  # in\n  [2, 0.10],\n]", comment(choices, &mut count))
                }
                "\"x: y\"" => "'''\n# x: y\n'z'''".to_owned(),
                value => value.to_owned(),
            };
            let tail = if choices.one_in(3) {
                format!(" {}", comment(choices, &mut count))
            } else {
                String::new()
            };
            text.push_str(&format!("{prefix}{key} = {value}{tail}\n"));
        }
    }
    text
}
