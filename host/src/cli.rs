//! What can be typed: flags and their help, nothing else.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::progress::Progress;

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
    /// Check a configuration without running it
    #[command(subcommand)]
    Config(Config),
    /// Generate text from a trained run
    Generate(Generate),
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
    /// Override a setting; may be given many times, later ones win
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
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
    /// Overrides as KEY=VALUE, by dotted path: `PHASE.training.base_lr=1e-3`
    #[arg(value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

/// `host run`.
#[derive(Debug, Args)]
#[command(
    after_help = "A plugin's keys: host plugins inspect NAME. Exit codes: 0 done, 1 failed, \
2 usage or configuration error, 75 stopped on request after a checkpoint (go on with --resume)."
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
    /// How to show progress
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
    /// Show the profiles and do nothing else
    #[arg(long)]
    pub list_profiles: bool,
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
    /// Show what a plugin says of itself, and its keys
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
    Validate(Selection),
}

/// `host generate`.
#[derive(Debug, Args)]
pub struct Generate {
    /// What to answer or to continue; `-` reads standard input
    pub prompt: String,
    /// The run: `last`, its name, or its directory
    #[arg(long, value_name = "RUN", default_value = "last")]
    pub run: String,
    /// The phase of the run; the last one that can generate if not given
    #[arg(long, value_name = "PHASE")]
    pub phase: Option<String>,
    /// Continue the text instead of answering it
    #[arg(long)]
    pub raw: bool,
    /// Tokens at most
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub max_new_tokens: usize,
    /// 0 takes the likeliest token each time
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub temperature: f64,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// Where run directories are
    #[arg(long, value_name = "DIR", default_value = "runs", env = "HOST_OUTPUT_DIR")]
    pub output_dir: PathBuf,
    /// As JSON
    #[arg(long)]
    pub json: bool,
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
