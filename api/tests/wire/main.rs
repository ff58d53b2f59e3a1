//! The wire, from signed request to reply: the router over a real store, without a socket.

mod audit;
mod batch;
mod callers;
mod corpus;
mod errors;
mod facts;
mod front;
mod harness;
mod keys;
mod labels;
mod lists;
mod log;
mod model;
mod parameter_store;
mod passes;
mod policy;
mod presence;
mod presigned;
mod replication;
mod roles;
mod rotation;
mod rotators;
mod sessions;
mod trial;
mod verify;
