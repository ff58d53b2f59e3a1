//! The example rotators, run as their users run them, over a real Redis.

mod events;
mod oracle;
mod receiver;
