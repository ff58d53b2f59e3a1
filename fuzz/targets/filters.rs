//! `make fuzz TARGET=filters`; what must hold is in the properties.

#![no_main]

#[path = "../properties/filters.rs"]
mod filters;

libfuzzer_sys::fuzz_target!(|data: &[u8]| filters::run(data));
