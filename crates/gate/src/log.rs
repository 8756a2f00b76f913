//! Where the log goes.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::Error;
use crate::config::{Config, LogFormat};

/// Writes the log of this process to its standard error, as configured. Does nothing if something else takes the log already.
pub fn init(config: &Config) -> Result<(), Error> {
    let filter = EnvFilter::builder()
        .parse(&config.log.level)
        .map_err(|error| Error::Config(format!("log.level: {error}")))?;
    let writer = BoxMakeWriter::new(std::io::stderr);
    let lines = match config.log.format {
        LogFormat::Text => fmt::layer().with_ansi(false).with_writer(writer).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
    };
    // An error says that there is one already.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    Ok(())
}
