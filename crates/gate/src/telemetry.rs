//! Traces, by OpenTelemetry.
//!
//! A request is one span, made when it has ended: nothing is paid for it before, and nothing at all if traces are not
//! configured. It is the child of whatever span the client names in `traceparent`.
//!
//! **Invariants**: every request is a span: what the client says of sampling is not obeyed, or it could take its requests out
//! of the traces. Spans are sent by a thread of their own; when the collector is slow or gone they are dropped, and no request
//! waits. A span holds what the log line holds, and the text of statements only where the log has it.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use crate::{Error, config};

/// How long the collector may take for one batch, and for the last one at the end.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where spans go.
pub(crate) struct Telemetry {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
}

/// What a span says.
pub(crate) struct Record<'a> {
    pub path: &'static str,
    pub parent: &'a Context,
    pub start: SystemTime,
    pub end: SystemTime,
    /// What went wrong: a SQLSTATE.
    pub sqlstate: Option<&'a str>,
    pub attributes: Vec<KeyValue>,
}

impl Telemetry {
    /// Starts to send spans. Has to be called within a tokio runtime.
    pub(crate) fn start(config: &config::Telemetry) -> Result<Self, Error> {
        let wrong = |error: &dyn std::fmt::Display| Error::Config(format!("[telemetry]: {error}"));
        // Something may have chosen the provider of this process before; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client =
            reqwest::Client::builder().timeout(EXPORT_TIMEOUT).build().map_err(|error| wrong(&error))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { client, runtime: tokio::runtime::Handle::current() })
            .with_endpoint(&config.endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| wrong(&error))?;
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        // The default would leave it to the parent, which is the client's word.
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("postern");
        Ok(Self { provider, tracer, propagator: TraceContextPropagator::new() })
    }

    /// The span that a request names as its parent.
    pub(crate) fn parent(&self, headers: &HeaderMap) -> Context {
        self.propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers))
    }

    /// Makes a span of a request that has ended.
    pub(crate) fn record(&self, record: Record<'_>) {
        let mut span = self
            .tracer
            .span_builder(record.path)
            .with_kind(SpanKind::Server)
            .with_start_time(record.start)
            .with_attributes(record.attributes)
            .start_with_context(&self.tracer, record.parent);
        if let Some(sqlstate) = record.sqlstate {
            span.set_status(Status::error(sqlstate.to_owned()));
        }
        span.end_with_timestamp(record.end);
    }

    /// Sends what is left.
    pub(crate) async fn stop(self: std::sync::Arc<Self>) {
        let stopped =
            tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(EXPORT_TIMEOUT)).await;
        if let Ok(Err(error)) = stopped {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Sends from the exporter's thread over the gate's runtime.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let response = client.execute(request.try_into()?).await?;
            let (parts, body) = http::Response::from(response).into_parts();
            Ok::<_, reqwest::Error>(Response::from_parts(parts, body.collect().await?.to_bytes()))
        });
        Ok(sending.await??)
    }
}
