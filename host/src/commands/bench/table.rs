//! What was measured, as tables for a terminal.

use std::fmt::Write as _;

use super::super::dry_run::device_name;
use crate::bench::{Benched, Cut, Options, Report, Search, Speed, Stage, Tried, Tuning};
use crate::progress::{bytes, duration, with_commas};

pub(super) fn text(report: &Report, options: &Options) -> String {
    let mut text = head(report);
    for phase in &report.phases {
        let _ = write!(text, "\n{}", phase_text(phase, options));
    }
    text
}

/// What it was measured on.
fn head(report: &Report) -> String {
    let device = &report.device;
    let amp = device.amp_dtype.map(|amp| format!(" with {amp}")).unwrap_or_default();
    let threads = if device.threads == 1 { "thread" } else { "threads" };
    let mut text = format!("{}: {}, {}{amp}, ", report.profile, device_name(device), device.dtype);
    let _ = write!(text, "{} {threads}", device.threads);
    if let Some(peak) = report.peak {
        let reached = flops(peak.flops_per_second);
        let _ = write!(text, " that reach {reached}/s in {}", peak.dtype);
    }
    if let Some(limit) = report.memory_limit_bytes {
        let _ = write!(text, "; at most {} of memory", bytes(limit));
    }
    let _ = writeln!(text, "; measured in {}", duration(report.seconds));
    text
}

fn phase_text(phase: &Benched, options: &Options) -> String {
    let of = if phase.phase == phase.name { String::new() } else { format!("{}, ", phase.phase) };
    let mut text =
        format!("{} ({of}plugin {} {})\n", phase.name, phase.plugin, phase.plugin_version);
    match (&phase.measured, &phase.misfit) {
        (Some(speed), _) => speed_lines(&mut text, speed, phase.cut),
        (None, Some(misfit)) => {
            line(&mut text, "speed", &format!("not measured: {}", misfit.message));
        }
        (None, None) => {}
    }
    match (&phase.batching, &phase.search) {
        (None, _) if options.searches => line(
            &mut text,
            "batches",
            "not searched: the plugin does not tell which keys set the micro-batch",
        ),
        (_, Some(search)) => line(&mut text, "largest", &largest(search)),
        _ => {}
    }
    if let Some(speed) = phase.measured.as_ref().filter(|speed| !speed.stages.is_empty()) {
        let rows = speed.stages.iter().map(stage_row).collect::<Vec<_>>();
        table(&mut text, ["stage", "ms a step", "share"], &rows);
    }
    if let Some(tuning) = &phase.tuning {
        cuts_table(&mut text, phase, tuning);
    }
    text
}

fn line(text: &mut String, name: &str, said: &str) {
    let _ = writeln!(text, "  {name:<10} {said}");
}

fn speed_lines(text: &mut String, speed: &Speed, cut: Option<Cut>) {
    let cut = cut.map(|cut| format!(", {}", cut_text(cut))).unwrap_or_default();
    let pace = rate(speed.units_per_second);
    let each = with_commas(speed.units_per_step.round() as i64);
    let unit = &speed.unit;
    line(text, "speed", &format!("{pace} {unit}/s ({each} {unit} a step{cut})"));
    let [median, p25, p75, max] = [
        speed.step_seconds,
        speed.step_seconds_p25,
        speed.step_seconds_p75,
        speed.step_seconds_max,
    ]
    .map(|seconds| ms(seconds * 1e3));
    let n = with_commas(i64::try_from(speed.timed_steps).unwrap_or(i64::MAX));
    let many = if speed.timed_steps == 1 { "step" } else { "steps" };
    let spread = format!("half of {n} {many} within {p25} to {p75}, slowest {max}");
    line(text, "step", &format!("{median} ms ({spread})"));
    let share = match (speed.flops_per_second, speed.peak_share) {
        (Some(reached), Some(share)) => {
            format!("{:.1} % ({}/s)", share * 100.0, flops(reached))
        }
        (Some(reached), None) => format!("{}/s; the device's peak is not measured", flops(reached)),
        (None, _) => format!("not told: the trainer forecasts no operations of its {unit}"),
    };
    line(text, "of peak", &share);
    let forecast = speed.memory_forecast_bytes.map(bytes);
    let forecast = forecast.map(|f| format!(" (forecast of the phase itself {f})"));
    let held = speed.memory_peak_bytes.map_or_else(|| "not told by the system".to_owned(), bytes);
    line(text, "memory", &format!("{held} at most{}", forecast.unwrap_or_default()));
    line(text, "prepared", &format!("in {}", duration(speed.prepare_seconds)));
}

fn largest(search: &Search) -> String {
    let beyond = search.beyond.zip(search.beyond_misfit.as_ref());
    let beyond = beyond.map(|(n, misfit)| format!("{}: {}", count(n), misfit.message));
    match (search.largest, beyond) {
        (Some(n), beyond) => {
            let held = search.memory_peak_bytes.map(|held| format!(" in {}", bytes(held)));
            let beyond = beyond.map(|beyond| format!("; {beyond}")).unwrap_or_default();
            format!("micro-batch {}{}{beyond}", count(n), held.unwrap_or_default())
        }
        (None, Some(beyond)) => format!("no micro-batch fits; {beyond}"),
        (None, None) => "no micro-batch fits".to_owned(),
    }
}

fn stage_row(stage: &Stage) -> [String; 3] {
    [stage.name.clone(), ms(stage.seconds * 1e3), format!("{:.1} %", stage.share * 100.0)]
}

/// The ways to cut a step, the fastest first.
fn cuts_table(text: &mut String, phase: &Benched, tuning: &Tuning) {
    let unit = phase.measured.as_ref().map_or("units", |speed| &speed.unit);
    let title = format!("{} samples as", count(tuning.effective_batch));
    let rows: Vec<[String; 3]> = tuning.tried.iter().map(|tried| cut_row(phase, tried)).collect();
    table(text, [title.as_str(), &format!("{unit}/s"), "memory"], &rows);
    if let Some((keys, best)) = phase.batching.as_ref().zip(tuning.tried.first()) {
        let times = keys.accumulation.as_ref();
        let times = times.map(|key| format!(" {}.{key}={}", phase.name, best.cut.accumulation));
        let fastest = format!("{}.{}={}", phase.name, keys.micro_batch, best.cut.micro_batch);
        let _ = writeln!(text, "\n  fastest    {fastest}{}", times.unwrap_or_default());
    }
}

fn cut_row(phase: &Benched, tried: &Tried) -> [String; 3] {
    let own = if phase.cut == Some(tried.cut) { " (configured)" } else { "" };
    let name = format!("{}{own}", cut_text(tried.cut));
    let pace = tried.units_per_second.map_or_else(|| "–".to_owned(), rate);
    let said = match &tried.misfit {
        Some(misfit) => misfit.message.clone(),
        None => tried.memory_peak_bytes.map(bytes).unwrap_or_default(),
    };
    [name, pace, said]
}

/// A table of a name and two columns of numbers.
fn table(text: &mut String, head: [&str; 3], rows: &[[String; 3]]) {
    let width = |i: usize| {
        let cells = rows.iter().map(|row| row[i].chars().count());
        cells.chain([head[i].chars().count()]).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2).min(12)];
    let mut row = |cells: [&str; 3]| {
        let pad = |i: usize| " ".repeat(widths[i].saturating_sub(cells[i].chars().count()));
        let _ = writeln!(
            text,
            "  {}{}  {}{}  {}{}",
            cells[0],
            pad(0),
            pad(1),
            cells[1],
            pad(2),
            cells[2]
        );
    };
    row([""; 3]);
    row(head);
    rows.iter().for_each(|[a, b, c]| row([a, b, c]));
    trim_line_ends(text);
}

fn trim_line_ends(text: &mut String) {
    let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
    *text = trimmed.join("\n") + "\n";
}

fn cut_text(cut: Cut) -> String {
    format!("{} × {}", count(cut.micro_batch), count(cut.accumulation))
}

fn count(n: u64) -> String {
    with_commas(i64::try_from(n).unwrap_or(i64::MAX))
}

/// Tokens or samples a second.
fn rate(n: f64) -> String {
    if n >= 100.0 { with_commas(n.round() as i64) } else { format!("{n:.2}") }
}

/// Milliseconds with three digits.
fn ms(n: f64) -> String {
    match n {
        large if large >= 99.95 => with_commas(large.round() as i64),
        some if some >= 9.995 => format!("{some:.1}"),
        few if few >= 0.9995 => format!("{few:.2}"),
        little => format!("{little:.3}"),
    }
}

/// Operations, as `231 GFLOP`.
fn flops(n: f64) -> String {
    match n {
        large if large >= 1e13 => format!("{:.1} TFLOP", large / 1e12),
        some if some >= 1e10 => format!("{:.0} GFLOP", some / 1e9),
        few if few >= 1e7 => format!("{:.2} GFLOP", few / 1e9),
        little => format!("{:.2} MFLOP", little / 1e6),
    }
}
