//! The server versions below which crafted SQL gets round row security or takes the server over.
//!
//! Below the floor the wall may hold and still be worth nothing, so the gate does not serve there unless told to.
//! <https://www.postgresql.org/support/security/>

/// The first release of each branch with the fixes of 2026-11-12, as `server_version_num`.
pub const FLOORS: &[i32] = &[140_025, 150_020, 160_016, 170_012, 180_007];

/// The major versions that the extension is built for.
pub const SUPPORTED: std::ops::RangeInclusive<i32> = 15..=18;

/// What a server version is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At or above the floor of a supported branch.
    Supported,
    /// A known branch, but fixes are missing.
    BelowFloor {
        /// The first release with the fixes.
        floor: i32,
    },
    /// A branch that the extension is not built for.
    Unsupported,
    /// A branch that came after this program.
    Untested,
}

/// Judges a `server_version_num`.
pub fn judge(version_num: i32) -> Verdict {
    let major = version_num / 10_000;
    match FLOORS.iter().find(|floor| **floor / 10_000 == major) {
        Some(&floor) if version_num < floor => Verdict::BelowFloor { floor },
        _ if SUPPORTED.contains(&major) => Verdict::Supported,
        _ if major > *SUPPORTED.end() => Verdict::Untested,
        _ => Verdict::Unsupported,
    }
}

/// `15.20` of 150020.
pub fn display(version_num: i32) -> String {
    format!("{}.{}", version_num / 10_000, version_num % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_branch_is_refused_just_below_its_floor_and_served_at_it() {
        for (floor, shown) in [(150_020, "15.20"), (160_016, "16.16"), (170_012, "17.12"), (180_007, "18.7")]
        {
            assert_eq!(judge(floor - 1), Verdict::BelowFloor { floor }, "{shown}");
            assert_eq!(judge(floor), Verdict::Supported, "{shown}");
            assert_eq!(judge(floor + 1), Verdict::Supported, "{shown}");
            assert_eq!(display(floor), shown);
        }
        assert_eq!(judge(180_000), Verdict::BelowFloor { floor: 180_007 }, "a beta counts as .0");
    }

    #[test]
    fn a_branch_without_the_extension_is_not_served_whatever_its_fixes() {
        assert_eq!(judge(140_024), Verdict::BelowFloor { floor: 140_025 });
        assert_eq!(judge(140_025), Verdict::Unsupported);
        assert_eq!(judge(130_099), Verdict::Unsupported);
        assert_eq!(judge(90_624), Verdict::Unsupported);
        assert_eq!(judge(190_000), Verdict::Untested);
    }
}
