//! The wire, from signed request to reply: the router over a real store, without a socket.

mod audit;
mod errors;
mod facts;
mod front;
mod harness;
mod labels;
mod lists;
mod presence;
mod rotation;
mod trial;
