//! The integration tests: one binary, real databases, the real `pawl`, really killed.

mod harness;

mod audit;
mod canary;
mod cli;
mod cli_keys;
mod cli_rotator;
mod cli_settings;
mod clients;
mod contract;
mod crash;
mod crash_strategies;
mod demo;
mod deploy;
mod driver;
mod lambda;
mod ownership;
mod pair_postgres;
mod readers;
mod redis;
mod rotate;
mod rotator_mariadb;
mod rotator_mysql;
mod rotator_postgres;
mod rotator_support;
mod serve;
mod servers;
mod stall;
mod targets;
mod tidy;
mod trial;
mod webhook;
mod webhook_calls;
mod webhook_faults;
mod webhook_support;
mod webhook_tls;
