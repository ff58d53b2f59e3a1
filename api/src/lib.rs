//! Speaks: the AWS Secrets Manager wire protocol, and Pawl's own operations in the same protocol.
//!
//! One route, `POST /`. [`router`] reads the request ([`http`]), finds the operation by its target
//! (the table in [`op`]), has the signature verified ([`sigv4`]), and hands the parsed request to the operation,
//! one file each. What an operation does is a call of the store; this crate never reaches a target,
//! never asks the system's clock, and never lets a secret into an error or a log line.

pub mod audit;
mod authorize;
mod call;
mod caller;
mod constraint;
mod credentials;
mod error;
mod external;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
mod kms;
mod members;
mod op;
mod parameter;
mod policy;
mod registration;
mod replication;
mod report;
mod rotation;
mod rotator;
mod rules;
pub mod sigv4;
mod state;
mod subscription;
mod wait;
mod wire;
pub mod workbench;

pub use http::router;
pub use rotator::rotator_name;
pub use state::{ApiState, Observer};
