//! What is aimed at, and whether it came out.

use serde::Serialize;

/// One aim.
#[derive(Debug, Clone, Serialize)]
pub struct Aim {
    /// What was measured.
    pub what: String,
    /// What came out.
    pub measured: f64,
    /// What is aimed at, in words.
    pub wanted: String,
    /// Whether it is so.
    pub met: bool,
}

/// Judges what is to be large. What was not measured is no aim.
pub fn at_least(aims: &mut Vec<Aim>, what: String, measured: Option<f64>, wanted: f64) {
    aims.extend(measured.map(|measured| Aim {
        what,
        measured,
        wanted: format!("at least {wanted}"),
        met: measured >= wanted,
    }));
}

/// Judges what is to be small.
pub fn below(aims: &mut Vec<Aim>, what: String, measured: Option<f64>, wanted: f64) {
    aims.extend(measured.map(|measured| Aim {
        what,
        measured,
        wanted: format!("below {wanted}"),
        met: measured < wanted,
    }));
}

/// The median; of an even number, the mean of the two in the middle. NaN of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        let same = |values: &[f64], expected: f64| (median(values.iter().copied()) - expected).abs() < 1e-9;
        assert!(same(&[3.0, 1.0, 2.0], 2.0));
        assert!(same(&[4.0, 1.0, 2.0, 3.0], 2.5));
        assert!(median(std::iter::empty()).is_nan());
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let mut aims = Vec::new();
        at_least(&mut aims, "a".into(), None, 1.0);
        at_least(&mut aims, "b".into(), Some(1.0), 1.0);
        below(&mut aims, "c".into(), Some(1.0), 1.0);
        assert_eq!(aims.iter().map(|aim| aim.met).collect::<Vec<_>>(), [true, false]);
    }
}
