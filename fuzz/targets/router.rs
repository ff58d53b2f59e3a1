//! `make fuzz TARGET=router`; what must hold is in the properties.

#![no_main]

#[path = "../properties/router.rs"]
mod router;

libfuzzer_sys::fuzz_target!(|data: &[u8]| router::run(data));
