//! The largest number that fits, found by trying as few as possible: strides that double until one
//! does not fit, then halves of what lies between. A guess that is near saves most of it.

/// No number beyond is tried.
const MOST: u64 = 1 << 24;
/// Between what fits and what does not there may lie this part of it: memory is not that exact.
const EXACT_PART: u64 = 32;
/// How far from a guess the next number lies, as a part of it.
const NEAR_PART: u64 = 8;

/// What a trial said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict<M> {
    /// It fits.
    Fits,
    /// It does not, for this reason.
    Misfit(M),
    /// It was not tried, for this reason, and nothing larger is to be.
    Stop(M),
}

/// What is known before the first trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The largest that fits; 0 when none does.
    pub(super) fits: u64,
    /// The smallest that does not.
    pub(super) misfit: Option<u64>,
    /// Where the answer may be.
    pub(super) guess: Option<u64>,
}

/// What the trials came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<M> {
    /// The largest that is known to fit.
    pub(super) largest: Option<u64>,
    /// The smallest that does not fit or was not tried, and why.
    pub(super) beyond: Option<(u64, M)>,
}

/// Finds it. Exact up to 32; beyond to a thirty-second part.
///
/// # Errors
/// The first error of a trial.
pub(super) fn largest<M, E>(
    known: Known,
    mut trial: impl FnMut(u64) -> Result<Verdict<M>, E>,
) -> Result<Found<M>, E> {
    let mut bracket = Bracket::new(known);
    let mut beyond = None;
    while let Some(next) = bracket.next() {
        match trial(next)? {
            Verdict::Fits => bracket.fits(next),
            Verdict::Misfit(why) => {
                bracket.misfit = Some(next);
                beyond = Some((next, why));
            }
            Verdict::Stop(why) => {
                beyond = Some((next, why));
                break;
            }
        }
    }
    Ok(Found { largest: (bracket.fits > 0).then_some(bracket.fits), beyond })
}

/// Where the answer lies.
struct Bracket {
    fits: u64,
    misfit: Option<u64>,
    guess: Option<u64>,
    /// How far from the guess, or from the last that fits, the next one lies.
    stride: u64,
    /// Whether the guess was too large and nothing that fits is known near it.
    is_above_guess: bool,
}

impl Bracket {
    fn new(known: Known) -> Self {
        let Known { fits, misfit, guess } = known;
        let is_between = |guess: &u64| *guess > fits && misfit.is_none_or(|bad| *guess < bad);
        let guess = guess.filter(is_between);
        let stride = guess.map_or(fits, |guess| guess / NEAR_PART).max(1);
        Self { fits, misfit, guess, stride, is_above_guess: guess.is_some() }
    }

    fn fits(&mut self, n: u64) {
        self.fits = n;
        self.is_above_guess = false;
    }

    /// The number to try; `None` when the answer is known.
    fn next(&mut self) -> Option<u64> {
        if let Some(guess) = self.guess.take() {
            return Some(guess.min(MOST));
        }
        let Some(misfit) = self.misfit else {
            let next = self.fits.saturating_add(self.grow());
            return (self.fits < MOST).then(|| next.min(MOST));
        };
        let apart = misfit - self.fits;
        if apart <= (self.fits / EXACT_PART).max(1) {
            return None;
        }
        if self.is_above_guess {
            let next = misfit.saturating_sub(self.grow());
            if next > self.fits {
                return Some(next);
            }
            self.is_above_guess = false;
        }
        Some(self.fits + apart / 2)
    }

    fn grow(&mut self) -> u64 {
        let stride = self.stride;
        self.stride = stride.saturating_mul(2);
        stride
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// The answer, and what was tried, where everything up to `most` fits.
    fn find(known: Known, most: u64) -> (Option<u64>, Vec<u64>) {
        let mut tried = Vec::new();
        let found = largest(known, |n| {
            tried.push(n);
            let verdict = if n <= most { Verdict::Fits } else { Verdict::Misfit(n - most) };
            Ok::<_, Infallible>(verdict)
        });
        let found = found.unwrap();
        if let Some((n, why)) = found.beyond {
            assert_eq!(why, n - most, "the reason is that of the number");
        }
        (found.largest, tried)
    }

    fn fits(fits: u64) -> Known {
        Known { fits, ..Known::default() }
    }

    #[test]
    fn it_doubles_and_then_halves() {
        assert_eq!(find(fits(4), 21), (Some(21), vec![8, 16, 32, 24, 20, 22, 21]));
        assert_eq!(find(fits(1), 1), (Some(1), vec![2]));
        assert_eq!(find(fits(0), 3), (Some(3), vec![1, 3, 7, 5, 4]));
    }

    #[test]
    fn what_does_not_fit_at_first_is_halved_down_to_nothing() {
        let known = Known { misfit: Some(16), ..Known::default() };
        assert_eq!(find(known, 3), (Some(3), vec![8, 4, 2, 3]));
        assert_eq!(find(known, 0), (None, vec![8, 4, 2, 1]));
        let one = Known { misfit: Some(1), ..Known::default() };
        assert_eq!(find(one, 0), (None, vec![]));
    }

    #[test]
    fn every_answer_up_to_32_is_exact_and_larger_ones_nearly() {
        for most in 1..3000 {
            let (found, tried) = find(fits(1), most);
            let found = found.unwrap();
            let allowed = if most <= 32 { 0 } else { most / 32 };
            assert!(found <= most && most - found <= allowed, "{found} of {most}");
            assert!(tried.len() <= 18, "{most}: {tried:?}");
        }
    }

    #[test]
    fn a_near_guess_saves_most_trials() {
        let guessed = |guess| Known { guess: Some(guess), ..fits(16) };
        assert_eq!(find(guessed(1000), 1005), (Some(1000), vec![1000, 1125, 1062, 1031]));
        assert_eq!(find(guessed(1000), 990), (Some(984), vec![1000, 875, 937, 968, 984]));
        assert_eq!(find(fits(16), 1005).1.len(), 11);
        // One that is far off costs little.
        assert_eq!(find(guessed(1000), 40).0, Some(40));
        assert_eq!(find(guessed(17), 4000).0.map(|n| n / 100), Some(39));
        assert!(find(guessed(17), 4000).1.len() < 18);
        // What can't be is not tried.
        assert_eq!(find(guessed(16), 20).1[0], 32);
    }

    #[test]
    fn what_is_not_to_be_tried_ends_it() {
        let stop = |n| Ok::<_, Infallible>(if n > 100 { Verdict::Stop(n) } else { Verdict::Fits });
        let found = largest(fits(16), stop).unwrap();
        assert_eq!(found, Found { largest: Some(64), beyond: Some((128, 128)) });
        let endless = find(fits(3), u64::MAX);
        assert_eq!((endless.0, endless.1.len()), (Some(MOST), 23));
    }

    #[test]
    fn an_error_ends_it_at_once() {
        let mut tried = 0;
        let error = largest(fits(1), |_| {
            tried += 1;
            Err::<Verdict<()>, _>("stopped")
        });
        assert_eq!((error, tried), (Err("stopped"), 1));
    }
}
