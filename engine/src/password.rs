//! Password rules.
