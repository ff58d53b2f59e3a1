//! `make fuzz TARGET=policy`; what must hold is in the properties.

#![no_main]

#[path = "../properties/policy.rs"]
mod policy;

libfuzzer_sys::fuzz_target!(|data: &[u8]| policy::run(data));
