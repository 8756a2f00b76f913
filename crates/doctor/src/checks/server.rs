//! The server's version against the floor.

use crate::codes;
use crate::examination::{Checked, Examination};
use crate::floor::{self, Verdict};

#[allow(clippy::unused_async, reason = "all checks are called alike")]
pub async fn check(ex: &mut Examination<'_>) -> Checked {
    let version = ex.server.version.clone();
    let subject = format!("server {version}");
    match floor::judge(ex.server.version_num) {
        Verdict::Supported => {}
        Verdict::BelowFloor { floor } => {
            let floor = floor::display(floor);
            ex.found(
                &codes::SERVER_BELOW_FLOOR,
                subject,
                format!("PostgreSQL {version} is below {floor}"),
                format!(
                    "Plain SQL can take over or crash a server of this version, or read past row security. \
                     Upgrade it to {floor} or later; a minor upgrade needs a restart and nothing else."
                ),
                None,
            );
        }
        Verdict::Unsupported => ex.found(
            &codes::SERVER_UNSUPPORTED,
            subject,
            format!("PostgreSQL {version} is not supported"),
            format!(
                "The extension is made for the major versions {} to {}.",
                floor::SUPPORTED.start(),
                floor::SUPPORTED.end()
            ),
            None,
        ),
        Verdict::Untested => ex.found(
            &codes::SERVER_UNTESTED,
            subject,
            format!("PostgreSQL {version} is newer than this program"),
            format!("Postern was tested up to major version {}. Upgrade Postern.", floor::SUPPORTED.end()),
            None,
        ),
    }
    Ok(())
}
