//! Endpoints from hell: whatever a callback does, its deliveries come to the outcome they
//! should, within their `timeout`, with a sentence that says what went wrong, and nobody
//! else notices. Each file is a
//! table of rows: what an endpoint does, and what that comes to.

mod beside;
mod http1;
mod keep_alive;
mod row;
mod secure;
mod unreachable;
mod waits;
