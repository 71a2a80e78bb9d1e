//! Masks as SVG: a square for each place, dark where it is kept.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
/// Left and right of the squares.
const SIDES: [f64; 2] = [16.0, 704.0];
/// Height of a title, and largest side of a square.
const LINE: f64 = 24.0;
const SQUARE_MAX: f64 = 16.0;

/// A picture of masks, each with a title and so many squares a row; `true` is kept.
///
/// ```
/// let svg = spectral::mask_svg(&[("bands", &[true, false, true], 3), ("pixels", &[true; 4], 2)]);
/// assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
/// assert_eq!(svg.matches("#0072b2").count(), 6); // kept
/// assert_eq!(svg.matches("#e8e8e8").count(), 1); // masked
/// ```
pub fn mask_svg(masks: &[(&str, &[bool], usize)]) -> String {
    let (mut body, mut y) = (String::new(), 0.0);
    for (title, keep, columns) in masks.iter().filter(|(_, keep, _)| !keep.is_empty()) {
        let columns = (*columns).clamp(1, keep.len());
        let side = ((SIDES[1] - SIDES[0]) / columns as f64).min(SQUARE_MAX);
        let n_kept = keep.iter().filter(|kept| **kept).count();
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{:.0}\">{title}: {n_kept} of {} kept</text>",
            SIDES[0],
            y + LINE - 8.0,
            keep.len()
        );
        y += LINE;
        for (i, kept) in keep.iter().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let color = if *kept { "#0072b2" } else { "#e8e8e8" };
            let _ = writeln!(
                body,
                "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{color}\"/>",
                SIDES[0] + side * column as f64,
                y + side * row as f64,
                side * 0.9,
                side * 0.9
            );
        }
        y += side * keep.len().div_ceil(columns) as f64 + 8.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n\
         <rect width=\"{WIDTH}\" height=\"{y:.0}\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_one_place_are_pictures_too() {
        assert!(mask_svg(&[]).ends_with("</svg>\n"));
        assert_eq!(mask_svg(&[("bands", &[], 4)]).matches("<text").count(), 0);
        assert!(mask_svg(&[("bands", &[false], 0)]).contains("bands: 0 of 1 kept"));
    }
}
