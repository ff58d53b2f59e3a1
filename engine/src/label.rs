//! Staging labels.
