//! The delivery keys of a subscription: built-in defaults, `[defaults]` over them, the
//! subscription's own over those.

use std::time::Duration;

use super::{Pen, headers};
use crate::config::file;
use crate::config::problem::Flaw;
use crate::config::units::Durations;
use crate::config::{OnPluginError, SignatureScheme, ValidationMode, WhenUnreachable};
use crate::delivery::Order;

/// How a subscription is served.
#[derive(Clone)]
pub(super) struct Delivery {
    pub timeout: Duration,
    pub retry: Vec<Duration>,
    pub disable_after: u32,
    pub concurrency: usize,
    pub order: Order,
    pub validation: ValidationMode,
    pub on_plugin_error: OnPluginError,
    pub when_unreachable: WhenUnreachable,
    pub headers: Vec<(String, String)>,
    pub signatures: Vec<SignatureScheme>,
}

/// Track documents neither a timeout nor its waits; its sample values say three failed
/// attempts, and a laptop's receiver may be a debugger that takes its time.
impl Default for Delivery {
    fn default() -> Self {
        Delivery {
            timeout: Duration::from_secs(10),
            retry: vec![Duration::from_secs(60), Duration::from_secs(300)],
            disable_after: 3,
            concurrency: 8,
            order: Order::default(),
            validation: ValidationMode::default(),
            on_plugin_error: OnPluginError::default(),
            when_unreachable: WhenUnreachable::default(),
            headers: Vec::new(),
            signatures: vec![SignatureScheme::Track],
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Longer than ten minutes is a hung receiver, not a slow one.
const TIMEOUT: Durations =
    Durations { allowed: Duration::from_millis(1)..=Duration::from_secs(600), said: "from 1ms to 10m" };

/// No longer than Track itself keeps what it could not deliver.
const WAIT: Durations =
    Durations { allowed: Duration::ZERO..=Duration::from_secs(7 * DAY.as_secs()), said: "at most 7d" };

impl Delivery {
    /// These, with what the table says put over them.
    pub(super) fn overridden(&self, pen: &mut Pen<'_>, table: &file::Subscription) -> Delivery {
        Delivery {
            timeout: pen.duration("timeout", &table.timeout, &TIMEOUT).unwrap_or(self.timeout),
            retry: retry(pen, table).unwrap_or_else(|| self.retry.clone()),
            disable_after: value(&table.disable_after, self.disable_after),
            concurrency: table.concurrency.get().map_or(self.concurrency, |at| at.value as usize),
            order: value(&table.order, self.order),
            validation: value(&table.validation, self.validation),
            on_plugin_error: value(&table.on_plugin_error, self.on_plugin_error),
            when_unreachable: value(&table.when_unreachable, self.when_unreachable),
            headers: headers::headers(pen, &table.headers).unwrap_or_else(|| self.headers.clone()),
            signatures: signatures(pen, table).unwrap_or_else(|| self.signatures.clone()),
        }
    }
}

fn retry(pen: &mut Pen<'_>, table: &file::Subscription) -> Option<Vec<Duration>> {
    let waits = table.retry.get()?;
    Some(waits.value.iter().filter_map(|wait| pen.noted("retry", wait, WAIT.read(&wait.value))).collect())
}

fn signatures(pen: &mut Pen<'_>, table: &file::Subscription) -> Option<Vec<SignatureScheme>> {
    let mut schemes = Vec::new();
    for scheme in &table.signatures.get()?.value {
        match schemes.contains(&scheme.value) {
            true => pen.flaw(Flaw::new(scheme.span.clone(), "this scheme stands twice".to_owned())),
            false => schemes.push(scheme.value),
        }
    }
    Some(schemes)
}

fn value<T: Copy>(written: &file::Key<T>, default: T) -> T {
    written.get().map_or(default, |at| at.value)
}
