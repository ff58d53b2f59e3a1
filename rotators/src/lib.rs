//! rotators
