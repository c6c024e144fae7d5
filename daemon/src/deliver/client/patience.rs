//! How many informational answers (`100 Continue`, `103 Early Hints`) may come before the
//! one that counts. HTTP sets no bound, and reading them without end keeps a thread busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Request;
use tokio::sync::Notify;

/// Far more than a server has reason to send.
pub(super) const MOST: usize = 64;

/// Ends with the last informational answer that is taken.
#[derive(Clone, Default)]
pub(super) struct Patience(Arc<Strained>);

#[derive(Default)]
struct Strained {
    informed: AtomicUsize,
    end: Notify,
}

impl Patience {
    pub(super) fn with<B>(request: &mut Request<B>) -> Patience {
        let patience = Patience::default();
        let strained = Arc::clone(&patience.0);
        hyper::ext::on_informational(request, move |_| {
            if strained.informed.fetch_add(1, Ordering::Relaxed) == MOST {
                strained.end.notify_one();
            }
        });
        patience
    }

    pub(super) async fn ended(&self) {
        self.0.end.notified().await;
    }
}
