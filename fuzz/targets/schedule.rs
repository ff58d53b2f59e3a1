//! `make fuzz TARGET=schedule`; what must hold is in the properties.

#![no_main]

#[path = "../properties/schedule.rs"]
mod schedule;

libfuzzer_sys::fuzz_target!(|data: &[u8]| schedule::run(data));
