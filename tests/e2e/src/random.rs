//! Choices that a seed decides: the same on every machine, and of every version of every crate.

/// `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed, the same choices.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below<N: TryFrom<u64> + TryInto<u64>>(&mut self, limit: N) -> N {
        let (Ok(limit), next) = (limit.try_into(), self.next()) else {
            unreachable!("a limit is not negative")
        };
        // What is below a number of this type is of this type.
        N::try_from(next % limit).unwrap_or_else(|_| unreachable!())
    }

    /// True so many times of a hundred.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100_usize) < chance
    }

    /// One of them, of which there is one.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Some of them, at least one, in their order.
    pub fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        let mut some: Vec<T> = of.iter().filter(|_| self.percent(35)).cloned().collect();
        if some.is_empty() {
            some.push(self.pick(of).clone());
        }
        some
    }
}
