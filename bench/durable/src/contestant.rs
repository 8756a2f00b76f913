//! Who is measured.

use clap::ValueEnum;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// Durable functions, executed by the server itself.
    Postern,
    /// Jobs; woken by LISTEN.
    GraphileWorker,
    /// Jobs; polls.
    PgBoss,
    /// Workflows in the application's process.
    Dbos,
    /// Tasks with checkpoints; polls.
    Absurd,
}

impl Contestant {
    /// As it calls itself.
    pub fn title(self) -> &'static str {
        match self {
            Self::Postern => "Postern",
            Self::GraphileWorker => "graphile-worker",
            Self::PgBoss => "pg-boss",
            Self::Dbos => "DBOS",
            Self::Absurd => "Absurd",
        }
    }

    /// Its program in `node/`.
    pub fn script(self) -> &'static str {
        match self {
            Self::Postern => "postern",
            Self::GraphileWorker => "graphile-worker",
            Self::PgBoss => "pg-boss",
            Self::Dbos => "dbos",
            Self::Absurd => "absurd",
        }
    }

    /// Its package.
    pub fn package(self) -> Option<&'static str> {
        match self {
            Self::Postern => None,
            Self::GraphileWorker => Some("graphile-worker"),
            Self::PgBoss => Some("pg-boss"),
            Self::Dbos => Some("@dbos-inc/dbos-sdk"),
            Self::Absurd => Some("absurd-sdk"),
        }
    }

    /// Its database.
    pub fn database(self) -> &'static str {
        match self {
            Self::Postern => "postgres",
            Self::GraphileWorker => "bench_graphile_worker",
            Self::PgBoss => "bench_pg_boss",
            Self::Dbos => "bench_dbos",
            Self::Absurd => "bench_absurd",
        }
    }

    /// Whether each step of a chain waits for half a second: fewer of them are enough.
    pub fn polls_slowly(self) -> bool {
        self == Self::PgBoss
    }
}
