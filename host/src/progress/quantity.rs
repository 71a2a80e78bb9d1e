//! Sizes and times as a person reads them.

/// A size in binary units with three digits: `6.00 GiB`, `30.8 MiB`, `512 bytes`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64 / 1024.0;
    if size < 1.0 {
        return format!("{bytes} bytes");
    }
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let decimals = if size < 9.995 { 2 } else { usize::from(size < 99.95) };
    format!("{size:.decimals$} {}", UNITS[unit])
}

/// Reads a size: `4GiB`, `1.5 GB`, `512M` (binary, as `MiB`), `1048576`.
///
/// # Errors
/// With what is wrong.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => Some(1.0),
        "k" | "kib" => Some(1024f64),
        "m" | "mib" => Some(1024f64.powi(2)),
        "g" | "gib" => Some(1024f64.powi(3)),
        "t" | "tib" => Some(1024f64.powi(4)),
        "kb" => Some(1e3),
        "mb" => Some(1e6),
        "gb" => Some(1e9),
        "tb" => Some(1e12),
        _ => None,
    };
    let size = number.parse::<f64>().ok().zip(power).map(|(number, power)| number * power);
    match size.filter(|size| *size >= 1.0 && *size < 1e18) {
        Some(size) => Ok(size as u64),
        None => Err("write a size such as `4GiB` or `512MiB`".to_owned()),
    }
}

/// A time in its two largest units: `2 h 13 min`, `4 min 41 s`; below a minute `12 s` or `0.3 s`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match whole % large / small {
        0 => format!("{} {unit}", whole / large),
        rest => format!("{} {unit} {rest} {small_unit}", whole / large),
    };
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => two(60, "min", 1, "s"),
        3600..86_400 => two(3600, "h", 60, "min"),
        _ => two(86_400, "d", 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        let read =
            ["4GiB", "1.5 gib", "512M", "7", "2kB", "30.8 MiB", "512 bytes"].map(parse_bytes);
        let want = [4 << 30, 3 << 29, 512 << 20, 7, 2000, 32_296_140, 512];
        assert_eq!(read, want.map(Ok));
        for wrong in ["", "GiB", "-1", "0", "4 Gigs", "1.2.3M", "1e3", "99999999TiB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_and_times_read_well() {
        let sizes = [0, 1023, 1024, 10 << 10, 32_345_031, 1000 << 20, 6 << 30, u64::MAX].map(bytes);
        assert_eq!(
            sizes,
            [
                "0 bytes",
                "1023 bytes",
                "1.00 KiB",
                "10.0 KiB",
                "30.8 MiB",
                "0.98 GiB",
                "6.00 GiB",
                "16777216 TiB"
            ]
        );
        let times = [0.04, 9.4, 9.6, 59.7, 281.0, 7200.0, 7985.0, 350_000.0].map(duration);
        assert_eq!(
            times,
            ["0.0 s", "9.4 s", "10 s", "1 min", "4 min 41 s", "2 h", "2 h 13 min", "4 d 1 h"]
        );
    }
}
