//! `postern up`: a private PostgreSQL with an example, a gate before it, and the outbound worker, in one folder.
//!
//! In order: take the folder (`folder`), start the cluster, make what is missing in it (`database`), in the configuration and
//! of the keys (`config`), start the gate, say how to use it (`greeting`), and wait for the wish to stop (`signals`).
//!
//! **Invariants**
//! - The gate stops before the server, so that requests under way end in order.
//! - Whatever was killed at whatever point, the next start works.

mod config;
mod database;
mod folder;
mod greeting;
mod signals;

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use postern_cluster::Cluster;

pub use config::{AUDIENCE, ISSUER, signing_key};
pub use folder::Places;
pub use signals::Stop;

use crate::args::Up;
use crate::error::{Context, Error};
use crate::{progress, serve};
use database::Example;
use folder::Folder;

/// The database of the example.
pub const DATABASE: &str = "app";
/// The login role of the gate.
const GATE_ROLE: &str = "postern_gate";
/// The login role of the outbound worker.
const OUTBOUND_ROLE: &str = "postern_outbound";
/// What the extension's files are found by.
const EXTENSION_DIR: &str = "POSTERN_EXTENSION_DIR";
/// How often to see whether the server is still there.
const WATCH: Duration = Duration::from_secs(1);

pub fn run(args: &Up) -> Result<(), Error> {
    with_extension_dir(args)?;
    let folder = Folder::take(&args.dir)?;
    let places = folder.places();
    let runtime = serve::runtime()?;
    let stop = runtime
        .block_on(async { Stop::on_signals() })
        .map_err(|source| Error::Io { action: "catch signals".into(), source })?;

    // What the user sets by ALTER SYSTEM counts more.
    let builder = Cluster::builder().extension(true).private_file(
        "postern.secrets_key_file",
        "secrets-key",
        &config::secrets_key(places)?,
    );
    let cluster = progress::during("starting PostgreSQL", || builder.open_or_init(&places.cluster()))?;
    if let Some(moved) = cluster.moved_to() {
        eprintln!(
            "the cluster is in \"{}\": the server's user cannot enter \"{}\"",
            moved.display(),
            folder.path().display()
        );
    }
    let cluster = Arc::new(cluster);
    let served = serve(args, &folder, &cluster, &runtime, &stop);
    // Nothing of the gate is left that could hold the server.
    runtime.shutdown_timeout(Duration::from_secs(1));
    progress::during("stopping PostgreSQL", || drop(cluster));
    served
}

fn serve(
    args: &Up,
    folder: &Folder,
    cluster: &Arc<Cluster>,
    runtime: &tokio::runtime::Runtime,
    stop: &Stop,
) -> Result<(), Error> {
    let places = folder.places();
    let example = match args {
        Up { example: true, .. } => Example::Again,
        Up { no_example: true, .. } => Example::No,
        _ => Example::Once,
    };
    database::prepare(cluster, places, example)?;
    config::prepare(places, cluster)?;
    let mut config = serve::load(&places.config())?;
    if let Some(address) = args.listen {
        config.listen.address = address;
    }
    config::point_at(&mut config, places, cluster);
    if stop.is_asked() {
        return Ok(());
    }
    runtime
        .block_on(async {
            tokio::spawn(watch(Arc::clone(cluster)));
            let example = places.example_marker().exists();
            serve::gate(config, stop.clone(), None, |url| greeting::text(url, &args.dir, example)).await
        })
        .map_err(|error| match error {
            Error::Gate(error @ postern_gate::Error::Listen { setting: "listen.address", .. }) => {
                Error::Listen(error)
            }
            error => error,
        })
}

/// Starts the server again if it ends by itself. The gate finds it again on its own.
async fn watch(cluster: Arc<Cluster>) {
    loop {
        tokio::time::sleep(WATCH).await;
        if cluster.pid().is_some() {
            continue;
        }
        eprintln!("PostgreSQL has ended; starting it again");
        let again = Arc::clone(&cluster);
        match tokio::task::spawn_blocking(move || again.start_again()).await {
            Ok(Ok(()) | Err(postern_cluster::Error::Running)) => {}
            Ok(Err(error)) => eprintln!("postern: {error}"),
            // The runtime is going.
            Err(_) => return,
        }
    }
}

/// The cluster finds the extension by the environment, which a program cannot safely change for itself: it becomes itself
/// again with it.
fn with_extension_dir(args: &Up) -> Result<(), Error> {
    let Some(wanted) = &args.extension_dir else { return Ok(()) };
    let wanted = wanted.canonicalize().context("find", wanted)?;
    if std::env::var_os(EXTENSION_DIR).is_some_and(|set| set == wanted.as_os_str()) {
        return Ok(());
    }
    let program = std::env::current_exe().context("find", std::path::Path::new("this program"))?;
    let error = Command::new(&program).args(std::env::args_os().skip(1)).env(EXTENSION_DIR, &wanted).exec();
    Err(error).context("run", &program)
}
