//! Line plots as SVG: small, without scripts, readable on light and dark pages.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
/// Left, right, top and bottom of the frame.
const FRAME: [f64; 4] = [64.0, 700.0, 34.0, 272.0];

/// Colours that are told apart by people who see few of them (Okabe and Ito 2008).
const COLORS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];

/// A plot of lines over one axis, with parts of the axis shaded.
///
/// ```
/// let svg = spectral::Plot::new("talc", "wavelength in nm", "reflectance")
///     .line("measured", &[400.0, 500.0, 600.0], &[0.2, f64::NAN, 0.4])
///     .shade(450.0, 550.0)
///     .svg();
/// assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
/// ```
#[derive(Clone, Debug)]
pub struct Plot {
    title: String,
    labels: [String; 2],
    lines: Vec<Line>,
    shades: Vec<(f64, f64)>,
}

#[derive(Clone, Debug)]
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// From numbers to places of the picture.
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64>, (from, to): (f64, f64)) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let ends = (f64::INFINITY, f64::NEG_INFINITY);
        let (low, high) = finite.fold(ends, |(low, high), v| (low.min(v), high.max(v)));
        match high > low {
            true => Self { low, high, from, to },
            false if low.is_finite() => Self { low: low - 0.5, high: low + 0.5, from, to },
            false => Self { low: 0.0, high: 1.0, from, to },
        }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers inside, about five of them: multiples of 1, 2 or 5 times a power of ten.
    fn ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (first..=last).map(|n| n as f64 * step).collect()
    }
}

impl Plot {
    /// An empty plot.
    pub fn new(title: &str, x_label: &str, y_label: &str) -> Self {
        let labels = [x_label, y_label].map(str::to_owned);
        Self { title: title.to_owned(), labels, lines: Vec::new(), shades: Vec::new() }
    }

    /// Adds a line, broken where a value is missing (NaN).
    #[must_use]
    pub fn line(mut self, name: &str, xs: &[f64], ys: &[f64]) -> Self {
        let points = xs.iter().copied().zip(ys.iter().copied()).collect();
        self.lines.push(Line { name: name.to_owned(), points });
        self
    }

    /// Shades the axis from one position to another.
    #[must_use]
    pub fn shade(mut self, from: f64, to: f64) -> Self {
        self.shades.push((from, to));
        self
    }

    /// Shades each run of positions that are not kept.
    #[must_use]
    pub fn shade_masked(mut self, positions: &[f64], keep: &[bool]) -> Self {
        let middle = |i: usize, j: usize| f64::midpoint(positions[i], positions[j]);
        let last = positions.len().saturating_sub(1);
        let mut i = 0;
        while i < keep.len() {
            let end = (i..keep.len()).find(|j| keep[*j]).unwrap_or(keep.len());
            if end > i {
                let (from, to) = (middle(i.saturating_sub(1), i), middle(end - 1, end.min(last)));
                self.shades.push((from, to));
            }
            i = end + 1;
        }
        self
    }

    /// The picture.
    pub fn svg(&self) -> String {
        let [left, right, top, bottom] = FRAME;
        let xs = self.lines.iter().flat_map(|line| line.points.iter().map(|point| point.0));
        let ys = self.lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
        let (x, y) = (Scale::new(xs, (left, right)), Scale::new(ys, (bottom, top)));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        self.write_shades(&mut svg, &x);
        write_ticks(&mut svg, &x, &y);
        for (line, color) in self.lines.iter().zip(COLORS.iter().cycle()) {
            write_line(&mut svg, line, color, &x, &y);
        }
        self.write_texts(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn write_shades(&self, svg: &mut String, x: &Scale) {
        let [left, right, top, bottom] = FRAME;
        let height = bottom - top;
        for (from, to) in &self.shades {
            let (from, to) = (x.at(*from).clamp(left, right), x.at(*to).clamp(left, right));
            put(
                svg,
                format_args!(
                    "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{height}\" fill=\"#e8e8e8\"/>\n",
                    to - from
                ),
            );
        }
    }

    fn write_texts(&self, svg: &mut String) {
        let [left, right, top, bottom] = FRAME;
        let [x_label, y_label] = self.labels.each_ref().map(|label| escaped(label));
        let (title, middle) = (escaped(&self.title), f64::midpoint(left, right));
        put(
            svg,
            format_args!(
                "<text x=\"{left}\" y=\"20\" font-weight=\"bold\">{title}</text>\n\
             <text x=\"{middle}\" y=\"{:.0}\" text-anchor=\"middle\">{x_label}</text>\n\
             <text transform=\"translate(16 {:.0}) rotate(-90)\" text-anchor=\"middle\">{y_label}</text>\n",
                bottom + 38.0,
                f64::midpoint(top, bottom)
            ),
        );
        let names: Vec<_> = self.lines.iter().zip(COLORS.iter().cycle()).collect();
        let mut end = right;
        for (line, color) in names.into_iter().rev() {
            let name = escaped(&line.name);
            put(
                svg,
                format_args!(
                    "<text x=\"{end:.0}\" y=\"20\" text-anchor=\"end\" fill=\"{color}\">{name}</text>\n"
                ),
            );
            end -= 7.0 * line.name.chars().count() as f64 + 16.0;
        }
    }
}

fn write_ticks(svg: &mut String, x: &Scale, y: &Scale) {
    let [left, right, top, bottom] = FRAME;
    for tick in x.ticks() {
        let (at, text) = (x.at(tick), number(tick));
        put(
            svg,
            format_args!(
                "<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"#ddd\" stroke-width=\"0.5\"/>\n\
             <text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{text}</text>\n",
                bottom + 18.0
            ),
        );
    }
    for tick in y.ticks() {
        let (at, text) = (y.at(tick), number(tick));
        put(
            svg,
            format_args!(
                "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#ddd\" stroke-width=\"0.5\"/>\n\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>\n",
                left - 8.0,
                at + 4.0
            ),
        );
    }
}

fn write_line(svg: &mut String, line: &Line, color: &str, x: &Scale, y: &Scale) {
    let mut path = String::new();
    let mut is_down = false;
    for (at, value) in &line.points {
        if value.is_finite() && at.is_finite() {
            let command = if is_down { 'L' } else { 'M' };
            put(&mut path, format_args!("{command}{:.1} {:.1}", x.at(*at), y.at(*value)));
        }
        is_down = value.is_finite() && at.is_finite();
    }
    put(
        svg,
        format_args!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>\n"
        ),
    );
}

/// Writing to a text can't fail.
fn put(to: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = to.write_fmt(what);
}

/// A number as short as it reads.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_missing_values_and_fill_the_frame() {
        let (xs, ys) = ([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, f64::NAN, 0.5, 0.5]);
        let svg = Plot::new("a < b", "x", "y").line("one", &xs, &ys).svg();
        assert!(svg.contains("M64.0 272.0L223.0 34.0M541.0 153.0L700.0 153.0"), "{svg}");
        assert!(svg.contains("a &lt; b"), "{svg}");
    }

    #[test]
    fn runs_of_masked_positions_are_shaded_to_the_middle_of_their_neighbours() {
        let keep = [true, false, false, true, false];
        let plot = Plot::new("", "", "").shade_masked(&[0.0, 1.0, 2.0, 3.0, 4.0], &keep);
        assert_eq!(plot.shades, [(0.5, 2.5), (3.5, 4.0)]);
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::new([380.0, 2500.0].into_iter(), (0.0, 1.0));
        assert_eq!(scale.ticks(), [500.0, 1000.0, 1500.0, 2000.0, 2500.0]);
        let flat = Scale::new([2.0, 2.0].into_iter(), (0.0, 1.0));
        assert_eq!((flat.low, flat.high), (1.5, 2.5));
    }
}
