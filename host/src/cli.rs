//! What can be typed: flags and their help, nothing else.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::override_args::Overrides;
use crate::progress::{Progress, parse_bytes};
use crate::scaffold::Template;

/// Trains models with plugins: one binary, many trainers, exact resume
#[derive(Debug, Parser)]
#[command(name = "host", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a profile or a configuration file: one phase, or a pipeline of phases
    Run(Box<Run>),
    /// See which profiles there are
    #[command(subcommand)]
    Profiles(Profiles),
    /// See which plugins there are
    #[command(subcommand)]
    Plugins(Plugins),
    /// Check, resolve, explain, compare and migrate configurations
    #[command(subcommand)]
    Config(Box<Config>),
    /// Measure speed, memory, and the micro-batches that fit
    Bench(Box<Bench>),
    /// One trial of `bench`.
    #[command(hide = true)]
    BenchTrial,
    /// The checks of a trainer, in a process of its own.
    #[command(hide = true)]
    CheckPlugin,
    /// A look at a plugin library, in a process of its own.
    #[command(hide = true)]
    ExaminePlugin {
        /// The library.
        file: PathBuf,
    },
    /// Generate text from a trained run
    Generate(Box<Generate>),
    /// Talk with a trained run
    Chat(Chat),
    /// Write a trained run's weights in the formats of other tools
    Export(Export),
}

/// What to run: shared by all commands that resolve a configuration.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// A profile by name; `host profiles list` shows them
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// A configuration file: JSON, YAML or TOML, by extension
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The phase of a file that does not say it
    #[arg(long, value_name = "PHASE")]
    pub phase: Option<String>,
    /// Overrides, with and without `--set`.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Seed of all random numbers
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Shared settings")]
    pub seed: Option<String>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, help_heading = "Shared settings")]
    pub device: Option<String>,
    /// Type of the weights
    #[arg(long, help_heading = "Shared settings")]
    pub dtype: Option<String>,
    /// CPU threads to use
    #[arg(long, value_name = "N", help_heading = "Shared settings")]
    pub threads: Option<String>,
    /// Stop every phase after this many steps
    #[arg(long, value_name = "N", help_heading = "Shared settings")]
    pub max_steps: Option<String>,
    /// A name in front of the run's directory name
    #[arg(long, value_name = "NAME", help_heading = "Shared settings")]
    pub run_name: Option<String>,
    /// Where run directories are made
    #[arg(long, value_name = "DIR", help_heading = "Shared settings")]
    pub output_dir: Option<String>,
    /// Start from what a run handed on, from a checkpoint, or from a file with weights
    #[arg(long, value_name = "RUN|PATH", help_heading = "Shared settings")]
    pub init_from: Option<String>,
}

/// `host run`.
#[derive(Debug, Args)]
#[command(
    after_help = "All keys: host config schema --format markdown; a plugin's: host plugins inspect NAME; \
where a value comes from: host config explain KEY. Exit codes: 0 done, 1 failed, 2 usage or configuration error, 75 stopped on request after a checkpoint (go on with --resume)."
)]
pub struct Run {
    /// What to run.
    #[command(flatten)]
    pub selection: Selection,
    /// Go on with a run: `last` (the default), `auto`, a run's name, or its directory
    #[arg(
        long,
        value_name = "RUN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "last"
    )]
    pub resume: Option<String>,
    /// Do everything up to the first step and show the plan; write no run
    #[arg(long, conflicts_with_all = ["resume", "list_profiles"])]
    pub dry_run: bool,
    /// With `--dry-run`: time a few steps of each phase and forecast the run's time
    #[arg(long, requires = "dry_run")]
    pub estimate: bool,
    /// With `--dry-run`: the plan as JSON
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// How to show progress
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
    /// Show the profiles and do nothing else
    #[arg(long)]
    pub list_profiles: bool,
}

/// `host bench`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every measurement runs in a process of its own; no run is made. Measure on a quiet machine."
)]
pub struct Bench {
    /// What to measure.
    #[command(flatten)]
    pub selection: Selection,
    /// Only this phase of a pipeline
    #[arg(long, value_name = "PHASE")]
    pub only: Option<String>,
    /// Seconds for the steps of a measurement
    #[arg(long, value_name = "S", default_value = "3", allow_negative_numbers = true, value_parser = seconds)]
    pub seconds: f64,
    /// Time so many steps in each measurement instead
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "seconds")]
    pub steps: Option<u64>,
    /// The most memory that training may take, such as 4GiB; what the machine has if not given
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub memory_limit: Option<u64>,
    /// Samples of a step to find the fastest cut of; those of the configuration if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub effective_batch: Option<u64>,
    /// Measure the configuration as it is, and try no other micro-batches
    #[arg(long, conflicts_with = "effective_batch")]
    pub no_search: bool,
    /// Give up on a measurement after so many seconds
    #[arg(long, value_name = "S", default_value = "120", allow_negative_numbers = true, value_parser = seconds)]
    pub trial_limit: f64,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..1e6).contains(seconds));
    seconds.ok_or_else(|| "write a number of seconds above 0".to_owned())
}

/// `host profiles …`.
#[derive(Debug, Subcommand)]
pub enum Profiles {
    /// List all profiles by group, and say of each whether it resolves
    List {
        /// Only those with this phase
        #[arg(long, value_name = "PHASE")]
        phase: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one profile's settings, resolved
    Show {
        /// Its name
        name: String,
    },
}

/// `host plugins …`.
#[derive(Debug, Subcommand)]
pub enum Plugins {
    /// List all plugins, their phases, and files that were refused
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make the crate of a new plugin, with a trainer that runs and tests
    New {
        /// Name of the plugin, of its crate and of its phase: `my-trainer`
        name: String,
        /// What it begins with
        #[arg(long, value_enum, default_value_t)]
        template: Template,
        /// The directory to make; the name if not given
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// The directory of the SDK's crate; that of the checkout this host is from if not given
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Check whether a plugin keeps what the host relies on; its code runs in processes of their own
    Check {
        /// The library file, or the name of a plugin that is there
        file: PathBuf,
        /// A profile to check it with; one named `smoke…` with its phase alone, or its defaults, if not given
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
        /// A configuration file to check it with
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Overrides, with and without `--set`.
        #[command(flatten)]
        overrides: Overrides,
        /// CPU threads to use
        #[arg(long, value_name = "N", default_value_t = 2)]
        threads: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Install a plugin: copy its library into the store and note its hash in plugins.lock
    Add {
        /// The library file
        file: PathBuf,
    },
    /// Remove an installed plugin
    Remove {
        /// The plugin's name
        plugin: String,
    },
    /// Take an installed plugin as it is now, though its library has changed
    Trust {
        /// The plugin's name
        plugin: String,
    },
    /// Show what a plugin says of itself, and its keys; of a file, what it says without being run
    Inspect {
        /// The plugin's name, or a library file
        plugin: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// `host config …`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Report everything that is wrong with a configuration
    Validate {
        /// What to check.
        #[command(flatten)]
        selection: Selection,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print every setting, resolved
    Resolve {
        /// What to resolve.
        #[command(flatten)]
        selection: Selection,
        /// The format to print
        #[arg(long, value_enum, default_value_t = SettingsFormat::Json)]
        format: SettingsFormat,
    },
    /// Show every layer that gave a setting a value, and which one counts
    Explain {
        /// A setting or a section by dotted path: `global.seed`, `PHASE.training.base_lr`
        key: String,
        /// What to explain it in.
        #[command(flatten)]
        selection: Selection,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the settings in which two profiles, files or runs differ
    Diff {
        /// A profile, a file, or a run
        a: String,
        /// Another
        b: String,
        /// The phase of a file that does not say it; the other side's if not given
        #[arg(long, value_name = "PHASE")]
        phase: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the schema of configuration files: all keys with types, defaults and ranges
    Schema {
        /// Only what a file may hold that this selects: one phase, a profile's or a file's phases
        #[command(flatten)]
        selection: Selection,
        /// JSON Schema for editors and checkers, or a page to read
        #[arg(long, value_enum, default_value_t = SchemaFormat::Json)]
        format: SchemaFormat,
    },
    /// Bring an old file into today's form, and show what changes
    Migrate {
        /// The file
        file: PathBuf,
        /// The phase of a file that does not say it
        #[arg(long, value_name = "PHASE")]
        phase: Option<String>,
        /// Write the file; the old one stays beside it with `.bak` behind its name
        #[arg(long)]
        write: bool,
    },
}

/// Formats of resolved settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SettingsFormat {
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// TOML
    Toml,
}

/// Formats of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaFormat {
    /// JSON Schema, draft 2020-12
    Json,
    /// Markdown
    Markdown,
}

/// Which finished phase: shared by all commands that use what a run trained.
#[derive(Debug, Args)]
pub struct TrainedRun {
    /// The run: `last`, its name, or its directory
    #[arg(long, value_name = "RUN", default_value = "last")]
    pub run: String,
    /// The phase of the run; the last one that can if not given
    #[arg(long, value_name = "PHASE")]
    pub phase: Option<String>,
    /// Where run directories are
    #[arg(long, value_name = "DIR", default_value = "runs", env = "HOST_OUTPUT_DIR")]
    pub output_dir: PathBuf,
}

/// How tokens are chosen; what is left out is as the phase's settings say.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub struct Sampling {
    /// Tokens at most
    #[arg(long, value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// 0 takes the likeliest token each time
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Draw from the N likeliest tokens only; 0 from all
    #[arg(long, value_name = "N")]
    pub top_k: Option<usize>,
    /// Draw from the fewest tokens whose probabilities sum to P
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f64>,
    /// Make tokens that are there already less likely; 1 changes nothing
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f64>,
    /// Never choose the token with this id; may be given many times
    #[arg(long = "ban", value_name = "ID")]
    pub banned_tokens: Vec<u32>,
    /// End at the token with this id; may be given many times
    #[arg(long = "stop", value_name = "ID")]
    pub stop_tokens: Vec<u32>,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// Run the whole context anew for each token: slower, the same text
    #[arg(long)]
    pub no_kv_cache: bool,
}

/// The system message of a conversation.
#[derive(Debug, Args)]
pub struct System {
    /// Instructions that stand before the conversation
    #[arg(long, value_name = "TEXT", conflicts_with = "system_file")]
    pub system: Option<String>,
    /// The same from a file
    #[arg(long, value_name = "FILE")]
    pub system_file: Option<PathBuf>,
}

/// `host generate`.
#[derive(Debug, Args)]
pub struct Generate {
    /// What to answer or to continue; `-`, or none and a pipe, reads standard input
    pub prompt: Option<String>,
    /// Whose model.
    #[command(flatten)]
    pub trained: TrainedRun,
    /// Continue the text instead of answering it
    #[arg(long, conflicts_with_all = ["system", "system_file"])]
    pub raw: bool,
    /// Before the prompt.
    #[command(flatten)]
    pub system: System,
    /// As JSON, once the text is complete
    #[arg(long)]
    pub json: bool,
    /// With `--json`: each token's probability, and its attention in this layer, from 0
    #[arg(long, value_name = "LAYER", requires = "json")]
    pub trace_layer: Option<usize>,
    /// How.
    #[command(flatten)]
    pub sampling: Sampling,
}

/// `host chat`.
#[derive(Debug, Args)]
#[command(after_help = "Ctrl-C ends an answer; /exit or Ctrl-D the chat; /help lists the rest.")]
pub struct Chat {
    /// Whose model.
    #[command(flatten)]
    pub trained: TrainedRun,
    /// Before the conversation.
    #[command(flatten)]
    pub system: System,
    /// How.
    #[command(flatten)]
    pub sampling: Sampling,
}

/// `host export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The run: `last`, its name, or its directory
    #[arg(value_name = "RUN", default_value = "last")]
    pub run: String,
    /// The phase of the run; the last one that can if not given
    #[arg(long, value_name = "PHASE")]
    pub phase: Option<String>,
    /// `safetensors`, or a format of the phase's plugin, such as `hf` and `gguf`
    #[arg(long, value_name = "FORMAT", default_value = "safetensors")]
    pub format: String,
    /// The directory to make; `exports/PHASE-FORMAT` in the run's if not given
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the directory when it is there
    #[arg(long)]
    pub force: bool,
    /// Where run directories are
    #[arg(long, value_name = "DIR", default_value = "runs", env = "HOST_OUTPUT_DIR")]
    pub output_dir: PathBuf,
}

/// The process's arguments with `_` for `-` in flag names, so that both spellings do.
pub fn arguments() -> Vec<OsString> {
    let mut is_positional = false;
    std::env::args_os()
        .map(|argument| {
            let Some(text) = argument.to_str() else { return argument };
            is_positional |= text == "--";
            match text.strip_prefix("--") {
                Some(flag) if !is_positional => {
                    let (name, value) =
                        flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v)));
                    let name = name.replace('_', "-");
                    value.map_or_else(|| format!("--{name}"), |v| format!("--{name}={v}")).into()
                }
                _ => argument,
            }
        })
        .collect()
}
