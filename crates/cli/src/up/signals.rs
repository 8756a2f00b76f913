//! Ctrl-C and its kin: a wish to stop, seen wherever we are; for a service, SIGHUP is a wish to read files again.
//!
//! **Invariants**: the first signal only asks, and everything ends in order; the second ends this process at once, and the
//! server with it by its watchdog.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The wish to stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Takes the signals over: for what ends with its terminal. Must be called within a runtime.
    pub fn on_signals() -> std::io::Result<Self> {
        Self::on(Some(signal(SignalKind::hangup())?))
    }

    /// The same for a service, to which SIGHUP says something else.
    pub fn on_signals_but_hangup() -> std::io::Result<Self> {
        Self::on(None)
    }

    fn on(mut hangup: Option<Signal>) -> std::io::Result<Self> {
        let (sender, receiver) = watch::channel(false);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    Some(()) = received(hangup.as_mut()) => {}
                }
                if sender.send_replace(true) {
                    std::process::exit(130);
                }
            }
        });
        Ok(Self(receiver))
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is asked.
    pub async fn asked(mut self) {
        // The sender lives as long as the runtime.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

/// Waits for a signal; for ever, if there is none to wait for.
async fn received(signal: Option<&mut Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}
