//! Numbers as people read them: `12,345 keys`, `1.3 GB`.

/// A number with a comma between each three digits.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things, in the plural where it is not one: `1 key`, `2 keys`.
pub fn counted(number: impl TryInto<u64>, thing: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", thousands(number))
}

/// A number of bytes in the largest decimal unit of which there is one: `12 bytes`, `1.3 GB`.
pub fn size(bytes: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in units {
        if bytes >= unit {
            // Tenths are cut, not rounded: a size is never shown as more than it is.
            let tenths = bytes / (unit / 10);
            return format!("{}.{} {name}", thousands(tenths / 10), tenths % 10);
        }
    }
    counted(bytes, "byte")
}

/// The number of bytes that a text such as `5GB`, `1.5 GiB` or `4096` says; fractions of a byte are cut.
pub fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|letter: char| letter != '.' && !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit: u64 = match unit.trim_start() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let bytes = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let fraction = format!("{fraction:0<9}").parse::<u128>().ok()? * u128::from(unit) / 1_000_000_000;
    bytes.checked_add(u64::try_from(fraction).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let read = [
            ("5GB", Some(5_000_000_000)),
            ("500mb", Some(500_000_000)),
            ("2GiB", Some(2 << 30)),
            ("1.5 KiB", Some(1536)),
            ("4096", Some(4096)),
            ("12B", Some(12)),
            ("0.1KB", Some(100)),
            ("", None),
            ("GB", None),
            ("5G", None),
            ("-1GB", None),
            ("1.GB", None),
            ("1.2.3GB", None),
            ("99999999999TB", None),
        ];
        for (text, bytes) in read {
            assert_eq!(bytes_of(text), bytes, "{text}");
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(counted(1u64, "key"), "1 key");
        assert_eq!(counted(1200usize, "key"), "1,200 keys");
        assert_eq!(size(1), "1 byte");
        assert_eq!(size(1_999), "1.9 kB");
        assert_eq!(size(2_000_000_000), "2.0 GB");
        assert_eq!(size(u64::MAX), "18,446,744.0 TB");
    }
}
