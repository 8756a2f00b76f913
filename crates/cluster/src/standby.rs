//! A hot standby of a cluster, as a second cluster.
//!
//! **How it works.** `pg_basebackup` over the primary's socket, streaming from then on.

use std::time::{Duration, Instant};

use crate::account::run;
use crate::cluster::Cluster;
use crate::home::Home;
use crate::passwords::{Passwords, SUPERUSER};
use crate::watchdog::{Orphan, Watchdog};
use crate::{Error, Result};

/// How long a standby may take to replay what the primary has written.
const LIMIT: Duration = Duration::from_mins(1);

impl Cluster {
    /// Makes a temporary hot standby of this cluster and starts it.
    pub fn standby(&self) -> Result<Self> {
        let (account, settings, extension) = self.parts();
        let home = Home::temporary(account, None)?;
        let watchdog = Watchdog::start(home.folder(), Orphan::Remove)?;
        let passwords = Passwords::open(home.passwords())?;
        let password = self.password(SUPERUSER).unwrap_or_default();
        passwords.set(SUPERUSER, &password)?;
        let data = home.new_data(account, "data")?;
        let mut command = account.command(self.installation().program("pg_basebackup"), home.folder());
        command.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]);
        command.args(["--no-password", "-U", SUPERUSER, "-p", &self.port().to_string()]);
        command.arg("-h").arg(self.socket_dir()).arg("-D").arg(data);
        // Ends up in the standby's own settings too: it is the server's account that reads both.
        run(command.env("PGPASSWORD", password))?;
        let installation = self.installation().clone();
        let mut settings = settings.clone();
        settings.set("listen_addresses", "");
        let standby =
            Self::new(installation, account.clone(), home, watchdog, passwords, settings, extension.clone());
        standby.begin(false)
    }

    /// Waits until this standby has replayed all that the primary has written up to now.
    pub fn catch_up_with(&self, primary: &Self) -> Result<()> {
        let position = primary.psql("postgres", "select pg_catalog.pg_current_wal_flush_lsn()")?;
        let sql = format!("select pg_catalog.pg_last_wal_replay_lsn() >= '{position}'::pg_catalog.pg_lsn");
        let begun = Instant::now();
        while self.psql("postgres", &sql)? != "t" {
            if begun.elapsed() > LIMIT {
                return Err(Error::Behind { position, waited: LIMIT });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
