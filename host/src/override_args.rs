//! Overrides in the order in which they were typed, whether or not `--set` stands before them.
//!
//! A parser of flags collects those with and those without separately; the later one wins, so the
//! order between the two must not be lost.

use clap::{ArgMatches, Args, Command, FromArgMatches};

/// All overrides, as typed.
#[derive(Clone, Debug, Default)]
pub struct Overrides(pub Vec<String>);

/// What is typed.
#[derive(Args)]
struct Typed {
    /// Override a setting; may be given many times, later ones win
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Overrides as KEY=VALUE, by dotted path: `PHASE.training.base_lr=1e-3`
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut typed: Vec<(usize, String)> = Vec::new();
        for id in ["set", "overrides"] {
            let values = matches.get_many::<String>(id).into_iter().flatten().cloned();
            typed.extend(matches.indices_of(id).into_iter().flatten().zip(values));
        }
        typed.sort_unstable();
        Ok(Self(typed.into_iter().map(|(_, text)| text).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Overrides {
    fn augment_args(command: Command) -> Command {
        Typed::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Typed::augment_args_for_update(command)
    }
}
