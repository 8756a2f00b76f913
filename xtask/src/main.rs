//! Build and test drivers.
fn main() {}
