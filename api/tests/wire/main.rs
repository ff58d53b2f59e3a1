//! The wire, from signed request to reply: the router over a real store, without a socket.

mod audit;
mod batch;
mod corpus;
mod errors;
mod facts;
mod front;
mod harness;
mod labels;
mod lists;
mod log;
mod parameter_store;
mod policy;
mod presence;
mod replication;
mod rotation;
mod trial;
