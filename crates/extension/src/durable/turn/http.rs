//! HTTP steps: what is to be sent is written down for the outbound worker, in the turn that comes to the step; what came back
//! is taken in the turn that the worker's answer makes due.
//!
//! The worker is outside the server, so what it sends may be sent more than once. The record of the step says how often at
//! most.

use postern_durable::machine::{Outcome, Value};
use postern_durable::{Failure, Kind, node_id};

use super::super::{outbound, secrets, store, substitution};
use super::{Course, as_owner};

impl Course<'_> {
    /// Writes down what the step has to send.
    pub(super) fn call_out(&mut self, node: u32) -> Result<(), Failure> {
        let kind = self.kind(node);
        let results = &mut self.results;
        let (id, names) = (&self.strand.instance, &self.strand.frame.names);
        let request =
            substitution::request(kind, &node_id(node), id, self.instance, names, |value| match value {
                Value::Kept(record) => results.get(*record),
                Value::Json(text) => (text.clone(), None),
            })?;
        let names: Vec<String> = request.secrets().map(str::to_owned).collect();
        if let Some(name) = as_owner(|| secrets::missing(self.strand.owner, &names)) {
            return Err(Failure {
                hint: Some("df.set_secret() sets it, as the role that the function runs as.".into()),
                ..Failure::new("42704", format!("secret '{name}' does not exist"))
            });
        }
        let target = request.check()?;
        let multipart = matches!(kind, Kind::HttpMultipart { .. });
        as_owner(|| outbound::put(&self.strand, node, multipart, &request, &target, &names))?;
        self.strand.frame.waited();
        Ok(())
    }

    /// What came of the step's request, recorded; `None` if there is no answer yet.
    pub(super) fn answered(&mut self, node: u32) -> Option<Outcome> {
        let answer = as_owner(|| outbound::take(&self.strand.instance, self.strand.strand))?;
        let started = answer.sent_at.unwrap_or(self.now);
        let (result, failure) = match &answer.came_back {
            Ok(result) => (Some(result.as_str()), None),
            Err(failure) => (None, Some(failure)),
        };
        let record = self.write(node, started, Some(&answer.request), result, None, failure);
        as_owner(|| store::begun(&self.strand.instance, record, answer.sends));
        Some(match answer.came_back {
            Ok(result) => {
                self.results.kept.insert((record.0, record.1), (result, None));
                Outcome::Done(Value::Kept(record))
            }
            Err(failure) => Outcome::Failed(failure),
        })
    }
}
