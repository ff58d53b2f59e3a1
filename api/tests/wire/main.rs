//! The wire, from signed request to reply: the router over a real store, without a socket.

mod callers;
mod errors;
mod front;
mod harness;
mod keys;
mod labels;
mod lists;
mod presence;
mod roles;
mod rotation;
mod sessions;
