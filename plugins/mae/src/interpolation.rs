//! What lies between the bands that are kept, without any model: straight lines.

/// Distance from kept bands, in nanometres, from which on a difference from the line is as large as
/// the values' own scale lets it be.
const REACH_NM: f64 = 50.0;

/// The nearest kept positions before and behind, by index; a kept one has itself on both sides.
fn neighbours(keep: &[bool]) -> Vec<(Option<usize>, Option<usize>)> {
    let kept: Vec<usize> = (0..keep.len()).filter(|i| keep[*i]).collect();
    let of = |i: usize| {
        let behind = kept.partition_point(|k| *k < i);
        match kept.get(behind) {
            Some(k) if *k == i => (Some(i), Some(i)),
            next => (behind.checked_sub(1).map(|before| kept[before]), next.copied()),
        }
    };
    (0..keep.len()).map(of).collect()
}

/// The values at `positions`, which rise: those that are kept as they are, all others on the straight
/// line between the nearest kept ones, and beyond the outermost as those are. 0 where none is kept.
///
/// ```
/// let values = [9.0, 1.0, 9.0, 9.0, 4.0];
/// let keep = [false, true, false, false, true];
/// let line = mae::interpolated(&[0.0, 1.0, 2.0, 3.0, 4.0], &values, &keep);
/// assert_eq!(line, [1.0, 1.0, 2.0, 3.0, 4.0]);
/// ```
pub fn interpolated(positions: &[f64], values: &[f64], keep: &[bool]) -> Vec<f64> {
    let at = |(i, sides): (usize, &(Option<usize>, Option<usize>))| match *sides {
        (Some(a), Some(b)) if a < b => {
            let part = (positions[i] - positions[a]) / (positions[b] - positions[a]);
            values[a] + part * (values[b] - values[a])
        }
        (Some(k), _) | (None, Some(k)) => values[k],
        (None, None) => 0.0,
    };
    neighbours(keep).iter().enumerate().map(at).collect()
}

/// How far each value may be from the line, as a part of the values' scale: 0 at kept bands, and
/// more with the distances a and b from those on both sides, as `√(a b)`; 1 from 50 nm on.
///
/// A line's own error grows with the product of the distances. A model whose differences have this
/// factor has nothing to learn where neighbours are near, and never does worse there.
///
/// ```
/// let leeway = mae::leeway(&[400.0, 410.0, 450.0, 500.0], &[true, false, false, true]);
/// assert_eq!(leeway, [0.0, 0.6, 1.0, 0.0]);
/// ```
pub fn leeway(positions: &[f64], keep: &[bool]) -> Vec<f64> {
    let at = |(i, sides): (usize, &(Option<usize>, Option<usize>))| {
        let distance = |k: usize| (positions[i] - positions[k]).abs();
        let far = match *sides {
            (Some(a), Some(b)) => (distance(a) * distance(b)).sqrt(),
            (Some(k), None) | (None, Some(k)) => distance(k),
            (None, None) => f64::INFINITY,
        };
        (far / REACH_NM).min(1.0)
    };
    neighbours(keep).iter().enumerate().map(at).collect()
}
