//! What all requests share, and the steps that all of them take: credentials, limits, the way to the database.
//!
//! **Invariants**: a request reaches the pool only with an identity that the authenticator gave out, within that identity's
//! limits, and with a deadline that is not after the end of its credential.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use postern_auth::{Authenticated, Authenticator, Client, Presented};
use postern_core::Code;
use postern_pool::{Pool, Request, Running, Statement, TransactionOptions};
use tokio::sync::watch;

use crate::account::Account;
use crate::client::{Surroundings, user_agent};
use crate::config::Config;
use crate::failure::Failure;
use crate::limits::{Admission, Limiter, Refusal};
use crate::logins::Logins;
use crate::metrics::Metrics;
use crate::service::Readiness;
use crate::telemetry::Telemetry;
use crate::waiting::{Budget, Share};

/// Requests at the edge of their credential's life get at least this long, to fail in an orderly way.
const LEAST_TIME: Duration = Duration::from_millis(1);

/// What all requests share.
pub(crate) struct Gateway {
    pub config: Config,
    pub pool: Pool,
    pub authenticator: Authenticator,
    pub limiter: Limiter,
    pub logins: Logins,
    pub waiting: Arc<Budget>,
    pub readiness: Readiness,
    pub metrics: Metrics,
    /// If traces are made.
    pub telemetry: Option<Arc<Telemetry>>,
    pub surroundings: Surroundings,
    /// The database that the pool is connected to, as the server calls it.
    pub database: String,
    /// Shows the metrics by role on the main address.
    pub metrics_token: Option<String>,
    /// Turns true when the gate begins to stop.
    pub stopping: watch::Receiver<bool>,
}

/// A request of someone who is known, within the limits.
pub(crate) struct Admitted {
    pub identity: Authenticated,
    pub admission: Admission,
    /// When it has to be over.
    pub deadline: Instant,
    /// What its answer takes of the memory for answers that wait.
    pub waiting: Share,
}

impl Gateway {
    /// Refuses credentials that are good for no role, before anything else of the request is looked at. Who it is, if the
    /// request may leave the role to the credential.
    pub(crate) async fn check_credentials(
        &self,
        account: &Account,
        peer: SocketAddr,
        headers: &HeaderMap,
        presented: &Presented<'_>,
    ) -> Result<Option<Authenticated>, Failure> {
        match self.authenticate(presented, &self.client(account, peer, headers)).await? {
            Ok(identity) => Ok(Some(identity)),
            // Which role is asked for is not known yet.
            Err(postern_auth::Error::RoleNotAllowed(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Who it is. Of an address with too many failed logins, only who is known already.
    async fn authenticate(
        &self,
        presented: &Presented<'_>,
        client: &Client,
    ) -> Result<Result<Authenticated, postern_auth::Error>, Refusal> {
        if let Err(refusal) = self.logins.check(client.addr, Instant::now())
            && !self.authenticator.remembers(presented)
        {
            return Err(refusal);
        }
        let result = self.authenticator.authenticate(presented, client).await;
        // A good credential that is for another role is not a guess.
        if matches!(result, Err(postern_auth::Error::Rejected(_))) {
            self.logins.failed(client.addr, Instant::now());
        }
        Ok(result)
    }

    fn client(&self, account: &Account, peer: SocketAddr, headers: &HeaderMap) -> Client {
        Client {
            addr: self.surroundings.client_addr(peer, headers),
            user_agent: user_agent(headers),
            request_id: account.id().to_owned(),
            time: account.arrived(),
        }
    }

    /// Finds out who asks, and counts it.
    pub(crate) async fn admit(
        &self,
        account: &mut Account,
        peer: SocketAddr,
        headers: &HeaderMap,
        presented: Presented<'_>,
    ) -> Result<Admitted, Failure> {
        let client = self.client(account, peer, headers);
        let identity = self.authenticate(&presented, &client).await??;
        self.count(account, client.addr, identity)
    }

    /// Counts a request of someone who is known.
    pub(crate) fn count(
        &self,
        account: &mut Account,
        addr: Option<IpAddr>,
        identity: Authenticated,
    ) -> Result<Admitted, Failure> {
        account.is(&identity);
        let key = self.limiter.key(&identity, addr);
        let admission = self.limiter.admit(&identity.role, key)?;
        let mut left = admission.limits().wall_clock;
        if let Some(end) = identity.expires_at {
            left = left.min(end.duration_since(SystemTime::now()).unwrap_or_default().max(LEAST_TIME));
        }
        Ok(Admitted {
            deadline: account.started() + left,
            identity,
            admission,
            waiting: self.waiting.share(),
        })
    }

    /// Sends statements to the database.
    pub(crate) async fn run(
        &self,
        account: &mut Account,
        admitted: &Admitted,
        statements: Vec<Statement>,
        transaction: TransactionOptions,
    ) -> Result<Running, Failure> {
        if self.config.log.sql {
            account.will_run(&statements);
        }
        let running = self
            .pool
            .run(Request {
                key: admitted.admission.key(),
                role: admitted.identity.role.clone(),
                facts: Some(Arc::clone(&admitted.identity.facts)),
                statements,
                transaction,
                deadline: admitted.deadline,
                grace: self.config.limits.grace,
            })
            .await?;
        account.runs_on(running.backend_pid());
        Ok(running)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

impl From<postern_auth::Error> for Failure {
    fn from(error: postern_auth::Error) -> Self {
        let code = match error {
            postern_auth::Error::Missing => Code::CredentialsMissing,
            postern_auth::Error::Rejected(_) | postern_auth::Error::RoleNotAllowed(_) => {
                Code::AuthenticationFailed
            }
            postern_auth::Error::Unavailable(_) => Code::AuthenticationUnavailable,
        };
        Self::because(code, error.reason())
    }
}
