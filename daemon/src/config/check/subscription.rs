//! One `[subscription.*]` table, put together from its parts.

use ::url::Url;

use super::delivery::Delivery;
use super::{
    Names, Notes, Pen, World, Written, digest, faults, filters, in_order, owner, plugins, secrets, url,
};
use crate::config::file::{self, At};
use crate::config::problem::Flaw;
use crate::config::{Secret, SignatureScheme, Subscription, User, Uses};

/// What subscriptions refer to.
pub(super) struct Around<'a> {
    pub names: &'a Names,
    pub users: &'a [User],
    pub defaults: &'a Delivery,
}

/// In the order of the files; and what those use that are not fit to be subscriptions.
pub(super) fn subscriptions(
    files: &[Written],
    around: &Around<'_>,
    world: &World,
    notes: &mut Notes,
) -> (Vec<Subscription>, Vec<Uses>) {
    let (mut subscriptions, mut rest) = (Vec::new(), Vec::new());
    for written in files.iter().filter(|written| written.sound) {
        let pen = &mut Pen { written, notes: &mut *notes, table: Vec::new(), world };
        for (name, table) in in_order(&written.file.subscription) {
            let read = |pen: &mut Pen<'_>| subscription(pen, name, table, around);
            match pen.within(["subscription", &name.value], read) {
                Ok(subscription) => subscriptions.push(subscription),
                Err(uses) => rest.push(uses),
            }
        }
        let tokens = written.file.user.values().map(|user| &user.api_token);
        let signing = written.file.subscription.values().map(|subscription| &subscription.secret);
        let sources = written.file.source.values().map(|source| &source.secret);
        secrets::exposed(pen, &tokens.chain(signing).chain(sources).collect::<Vec<_>>());
    }
    (subscriptions, rest)
}

/// Only its plugins if it has no URL, which was said before or is said here.
fn subscription(
    pen: &mut Pen<'_>,
    name: &At<String>,
    table: &file::Subscription,
    around: &Around<'_>,
) -> Result<Subscription, Uses> {
    let event_filters = filters::event_filters(pen, &table.event_filters);
    let secret = secrets::secret(pen, "secret", &table.secret);
    let creator = owner::creator(pen, name, table, around.users, around.names);
    let filter = plugins::uses(pen, &table.filter, around.names);
    let transform = plugins::uses(pen, &table.transform, around.names);
    let delivery = around.defaults.overridden(pen, table);
    let faults = faults::faults(pen, name, table, &delivery);
    if let Some(at) = table.secret.get().filter(|_| is_garbled(secret.as_ref(), &delivery)) {
        let message = "`secret` begins with `whsec_`, and what follows is not base64".to_owned();
        let hint = "Standard Webhooks takes it for an encoded key; correct it, or begin it otherwise";
        pen.flaw(Flaw::new(at.span.clone(), message).hint(hint));
    }
    let Some((url_text, url_callback)) = callback(pen, table) else {
        return Err(Uses { subscription: name.value.clone(), filter, transform });
    };
    let mut subscription = Subscription {
        name: name.value.clone(),
        url_callback,
        url_text,
        event_filters,
        secret,
        enabled: table.enabled.get().is_none_or(|enabled| enabled.value),
        creator,
        filter,
        transform,
        timeout: delivery.timeout,
        retry: delivery.retry,
        disable_after: delivery.disable_after,
        concurrency: delivery.concurrency,
        order: delivery.order,
        validation: delivery.validation,
        on_plugin_error: delivery.on_plugin_error,
        when_unreachable: delivery.when_unreachable,
        headers: delivery.headers,
        signatures: delivery.signatures,
        faults,
        digest: String::new(),
        place: pen.place(&name.span),
    };
    subscription.digest = digest::digest(table, &subscription);
    Ok(subscription)
}

/// Whether the key it stands for cannot be told, where that matters.
fn is_garbled(secret: Option<&Secret>, delivery: &Delivery) -> bool {
    delivery.signatures.contains(&SignatureScheme::StandardWebhooks) && secret.is_some_and(Secret::is_garbled)
}

fn callback(pen: &mut Pen<'_>, table: &file::Subscription) -> Option<(String, Url)> {
    let written = table.url_callback.get()?;
    let url = url::url_callback(written).map_err(|flaw| pen.flaw(flaw)).ok()?;
    Some((written.value.clone(), url))
}
