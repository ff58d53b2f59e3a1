//! The one route: reads a request, and says in headers and log what came of it.
//!
//! The order of checks is AWS's: method, body, content type, JSON, operation, authentication, types, constraints.
//! Never here: what an operation does. A log line has no body and no message, only names and codes.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::routing::any;
use futures_util::future::{Either, select};

use crate::call::Call;
use crate::caller::Credential;
use crate::error::ApiError;
use crate::op::{Cx, Op};
use crate::sigv4::Verifier;
use crate::state::ApiState;
use crate::wire;

/// A value of 64 KiB whose every character is a six-character escape fits, with the rest of its request.
const MAX_BODY: usize = 512 * 1024;
/// How long a body may take to come: as long as nobody wants it, it holds a connection that others could have.
const BODY_COMES: Duration = Duration::from_secs(10);
/// Between two tries of a request that the store did not carry out, half as long or half as much longer.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(20), Duration::from_millis(80), Duration::from_millis(250), Duration::from_millis(600)];
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The API: `POST /`, and errors for every other method on `/`.
pub fn router(state: ApiState) -> Router {
    let server = Arc::new(Server { verifier: Verifier::new(state.region.clone()), state });
    Router::new().route("/", any(entry)).with_state(server)
}

struct Server {
    state: ApiState,
    verifier: Verifier,
}

async fn entry(State(server): State<Arc<Server>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut call = Call::begin(&server.state, &parts);
    let mut outcome = server.serve(&parts, body, &mut call).await;
    if let Err(not_kept) = call.record(&outcome).await {
        // It was carried out, but nobody is told so before the trail can tell it.
        outcome = outcome.and_then(|_| Err(ApiError::internal(not_kept.to_string())));
    }

    let took = call.took();
    let status = outcome.as_ref().map_or_else(|error| error.status, |_| StatusCode::OK);
    report(&call, outcome.as_ref().err(), took);
    if let Some(observe) = &server.state.observer {
        observe(call.operation(), status.as_u16(), took);
    }

    let body = outcome.unwrap_or_else(|error| error.body());
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(REQUEST_ID, HeaderValue::from_str(call.id()).expect("a UUID is a header value"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// One line a call. Reads that went well are debug: services make them all day.
fn report(call: &Call<'_>, error: Option<&ApiError>, took: Duration) {
    let (op, id) = (call.operation(), call.id());
    let outcome = error.map_or("ok", |error| error.code);
    let secret = call.secret.as_deref();
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if let Some(fault) = error.and_then(|error| error.fault.as_deref()) {
        tracing::error!(op, secret.id = secret, outcome, request.id = id, duration_us = us, fault, "the call failed");
    } else if error.is_none() && call.op.is_some_and(Op::reads) {
        tracing::debug!(op, secret.id = secret, outcome, request.id = id, duration_us = us, "the call was answered");
    } else {
        tracing::info!(op, secret.id = secret, outcome, request.id = id, duration_us = us, "the call was answered");
    }
}

impl Server {
    async fn serve(&self, parts: &Parts, body: Body, call: &mut Call<'_>) -> Result<Vec<u8>, ApiError> {
        if parts.method != Method::POST {
            return Err(ApiError::method());
        }
        let body = self.body(body).await?;
        if !is_json(parts.headers.get(CONTENT_TYPE)) {
            return Err(ApiError::content_type());
        }
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        call.op = target.and_then(Op::of_target);

        // The one place where what the store did not do, for somebody else was at the same or it was away for a moment, is
        // asked of it again.
        for pause in PAUSES {
            match self.answer(parts, &body, call).await {
                // What has reached out of here already is not done again.
                Err(error) if error.passing && !call.op.is_some_and(Op::reaches_out) => {
                    self.state.clock.sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
                }
                answer => return answer,
            }
        }
        self.answer(parts, &body, call).await
    }

    async fn answer(&self, parts: &Parts, body: &Bytes, call: &mut Call<'_>) -> Result<Vec<u8>, ApiError> {
        let now = self.state.clock.now();
        let verified = match call.op {
            None => Err(ApiError::unknown_operation()),
            Some(op) => self.verified(op, parts, body, self.state.wall.now()).await.map(|caller| (op, caller)),
        };
        match verified {
            Ok((op, caller)) => {
                let cx = Cx::new(&self.state, now, call.caller.insert(caller), &call.notes);
                op.call(&cx, body, &mut call.secret).await
            }
            // Whether the body is JSON comes before the other two; asked only when it matters.
            Err(_) if !wire::is_json_object(body) => Err(ApiError::not_json()),
            Err(error) => Err(error),
        }
    }

    async fn body(&self, body: Body) -> Result<Bytes, ApiError> {
        let limit = self.state.clock.sleep(BODY_COMES);
        match select(pin!(to_bytes(body, MAX_BODY)), limit).await {
            Either::Left((read, _)) => read.map_err(|_| ApiError::too_large()),
            Either::Right(((), _)) => Err(ApiError::too_slow()),
        }
    }

    async fn verified(
        &self,
        op: Op,
        parts: &Parts,
        body: &Bytes,
        now: engine::Time,
    ) -> Result<crate::sigv4::Verified, ApiError> {
        let claim = self.verifier.claim(parts, op.service(), now)?;
        let credential = Credential::find(&self.state.store, claim.access_key_id(), claim.token(), now).await?;
        let caller = credential.caller(claim.access_key_id());
        Ok(self.verifier.prove(&claim, parts, body, credential.secret(), caller)?)
    }
}

fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let essence =
        content_type.and_then(|value| value.to_str().ok()).map(|text| text.split(';').next().unwrap_or("").trim());
    essence.is_some_and(|text| {
        text.eq_ignore_ascii_case("application/x-amz-json-1.1") || text.eq_ignore_ascii_case("application/json")
    })
}
