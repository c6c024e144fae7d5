//! What is noted of an exchange on its way: the address, and how long each part took.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::Version;

use crate::delivery::trace::{Exchange, Http, micros};

/// How far dialling came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dialed {
    /// The last one tried.
    pub(super) address: Option<SocketAddr>,
    /// None if there was nothing to look up.
    pub(super) dns: Option<Duration>,
    pub(super) connect: Option<Duration>,
    pub(super) tls: Option<Duration>,
}

tokio::task_local! {
    /// Connectors are told a URL and no more, and what failed leaves no connection to ask: so the
    /// dialler says here, to the request that has it dial, how far it has come.
    static DIALED: Cell<Dialed>;
}

/// Runs an exchange; says how far dialling came for it, also when it was given up.
pub(super) async fn follow<F: Future>(exchange: F) -> (F::Output, Dialed) {
    let followed = async {
        let ended = exchange.await;
        (ended, DIALED.with(Cell::get))
    };
    DIALED.scope(Cell::default(), followed).await
}

/// Notes how far it has come.
pub(super) fn note(dialed: Dialed) {
    // A connection that is finished for whoever comes next has nobody to tell.
    DIALED.try_with(|cell| cell.set(dialed)).ok();
}

/// What was noted last, for the request that is waiting for it.
pub(super) fn noted() -> Dialed {
    DIALED.try_with(Cell::get).unwrap_or_default()
}

/// Over which connection a request went in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One that stood before.
    Kept,
    /// One made for it, as far as anybody knows.
    Made,
    /// A second one, since the first turned out to be closed.
    Again,
}

/// What came of it, put together. `known` is what the connection knows of its own making.
pub(super) fn exchange(way: Way, known: Option<Dialed>, noted: Dialed, total: Duration) -> Exchange {
    let dialed = match (way, known) {
        (Way::Again, _) | (_, None) => noted,
        (Way::Kept, Some(known)) => Dialed { address: known.address, ..Dialed::default() },
        (Way::Made, Some(known)) => known,
    };
    Exchange {
        address: dialed.address,
        reused: way == Way::Kept,
        dns_us: dialed.dns.map(micros),
        connect_us: dialed.connect.map(micros),
        tls_us: dialed.tls.map(micros),
        total_us: micros(total),
        ..Exchange::default()
    }
}

pub(super) fn http(version: Version) -> Option<Http> {
    match version {
        Version::HTTP_10 => Some(Http::V10),
        Version::HTTP_11 => Some(Http::V11),
        Version::HTTP_2 => Some(Http::V2),
        _ => None,
    }
}
