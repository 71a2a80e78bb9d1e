//! What tests need of the world outside: a hub to fetch from, and Parquet files.

#[expect(dead_code, reason = "the unit tests, which share it, also let it fail")]
pub(crate) mod hub_server;
pub(crate) mod parquet_file;
