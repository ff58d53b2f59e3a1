//! `make fuzz TARGET=signature`; what must hold is in the properties.

#![no_main]

#[path = "../properties/signature.rs"]
mod signature;

libfuzzer_sys::fuzz_target!(|data: &[u8]| signature::run(data));
