//! What the yardstick and the soak share: systems to put under load, the load, the
//! endpoint that counts and checks, the gauges. What is measured with it, and what is
//! said about that, is each one's own.

pub mod book;
pub mod driver;
pub mod event;
pub mod floor;
pub mod gauge;
pub mod receiver;
pub mod role;
pub mod scene;
pub mod system;
pub mod wire;
