//! One PING: its code, its request, and what the answer says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use rand::RngExt;
use tokio::sync::Notify;

use super::{elapsed_ms, mark_validated};
use crate::clock;
use crate::deliver::client::{Answered, Client, SendError};
use crate::deliver::{envelope, outgoing};
use crate::delivery::{Standing, SubscriptionId, Validation};
use crate::feed::{Feed, News};
use crate::plan::Planned;
use crate::plugin::Message;
use crate::store::{Error, Store};
use crate::track::{Refused, Wanted};

/// How long a first PING is waited for: long enough for whoever answers, short enough for a
/// person at a terminal. An endpoint that takes longer is told of as one that is still asked.
const FIRST: Duration = Duration::from_secs(3);

/// Sends PINGs. Cheap to clone.
#[derive(Clone)]
pub struct Pinger {
    store: Arc<dyn Store>,
    client: Client,
    feed: Feed,
    /// `http://<tcp as bound>/webhooks/api/v1/validate`
    validate_url: Arc<str>,
    /// Told whenever a PING is over and written down.
    over: Arc<Notify>,
}

/// What came of a PING.
#[derive(Debug)]
pub struct Pinged {
    pub answered: Result<StatusCode, SendError>,
    /// Whether the subscription is validated now, through this answer or before.
    pub validated: bool,
    pub ms: u64,
}

impl Pinged {
    /// Track's words for a callback that cannot be used.
    pub fn refusal(&self, url_callback: &str, wanted: Wanted) -> Option<Refused> {
        let url = url_callback.to_owned();
        match &self.answered {
            Ok(status) if status.is_success() => None,
            Ok(status) => Some(Refused::Answered { url, status: status.as_u16(), wanted }),
            Err(error) => Some(Refused::Failed { url, error: error.to_string() }),
        }
    }
}

/// What a PING met that did not validate, for people.
pub(super) fn met(answered: &Result<StatusCode, SendError>) -> String {
    match answered {
        Ok(status) if status.is_success() => "it answered without the validation code".to_owned(),
        Ok(status) => format!("it answered {}", status.as_u16()),
        Err(error) => error.to_string(),
    }
}

impl Pinger {
    pub fn new(store: Arc<dyn Store>, client: Client, feed: Feed, bound: std::net::SocketAddr) -> Pinger {
        let validate_url = format!("http://{bound}/webhooks/api/v1/validate").into();
        Pinger { store, client, feed, validate_url, over: Arc::default() }
    }

    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The URL that validates a subscription when it is opened, if it needs to be and a PING
    /// has given it a code.
    pub fn url_to_open(&self, planned: &Planned, standing: &Standing) -> Option<String> {
        let code = standing.validation.code.as_deref().filter(|_| !planned.validated(standing))?;
        Some(self.validation_url(planned, code))
    }

    fn validation_url(&self, planned: &Planned, code: &str) -> String {
        format!("{}/{}/{}/{code}", self.validate_url, planned.workspace_id, planned.id)
    }

    /// PINGs a subscription as it is about to be. What comes of another URL than the one in
    /// force is kept beside it until the config says so, or until `withdraw`.
    pub async fn probe(&self, planned: &Planned) -> Result<Pinged, Error> {
        let standing = self.store.standing(planned.id).unwrap_or_default();
        let url = Some(planned.meant.url_text.clone());
        if standing.validation.url_callback == url || planned.validated(&standing) {
            return self.ping(planned).await;
        }
        let (code, asked) = (new_code(), true);
        let validation =
            Validation { url_callback: url, code: Some(code.clone()), asked, ..Validation::default() };
        let propose = |standing: &mut Standing| standing.proposed = Some(validation.clone());
        self.store.set_standing(planned.id, &propose).await?;
        let started = Instant::now();
        let answered = self.send(planned, Some(&code)).await;
        let ms = elapsed_ms(started);
        let validated = answered.as_ref().is_ok_and(|answer| echoes(answer, &code));
        if validated {
            mark_validated(&*self.store, planned.id, planned.name(), &planned.meant.url_text).await?;
        }
        let answered = answered.map(|answer| answer.status);
        if !validated {
            let said = met(&answered);
            // Unless the callback has opened the validation URL meanwhile.
            let tell = |standing: &mut Standing| {
                let open = standing.proposed.as_mut().filter(|proposed| proposed.validated_at.is_none());
                if let Some(proposed) = open {
                    proposed.said = Some(said.clone());
                }
            };
            self.store.set_standing(planned.id, &tell).await?;
        }
        Ok(Pinged { answered, validated, ms })
    }

    /// The subscription stays as it is: forgets what a `probe` found.
    pub async fn withdraw(&self, id: SubscriptionId) -> Result<(), Error> {
        self.store.set_standing(id, &|standing: &mut Standing| standing.proposed = None).await?;
        Ok(())
    }

    /// PINGs a subscription. If it is not validated, the PING carries its code, and an
    /// answer that echoes the code validates it.
    pub async fn ping(&self, planned: &Planned) -> Result<Pinged, Error> {
        let standing = self.with_code(planned).await?;
        let before = planned.validated(&standing);
        let code = standing.validation.code.as_deref().filter(|_| !before);
        let started = Instant::now();
        let answered = self.send(planned, code).await;
        let ms = elapsed_ms(started);
        let echoed = code.is_some_and(|code| answered.as_ref().is_ok_and(|answer| echoes(answer, code)));
        let answered = answered.map(|answer| answer.status);
        if echoed {
            let url = &planned.meant.url_text;
            let now = mark_validated(&*self.store, planned.id, planned.name(), url).await?;
            self.feed.tell(|| News::Standing(planned.stands(&now)));
        } else {
            self.mark_asked(planned, met(&answered)).await?;
        }
        self.over.notify_waiters();
        Ok(Pinged { answered, validated: before || echoed, ms })
    }

    /// Waits until the first PING since a subscription came or changed is over, within reason:
    /// until then nobody can say how it stands.
    pub async fn first_over(&self, planned: &Planned) {
        let standing = || self.store.standing(planned.id).unwrap_or_default();
        let open = |standing: &Standing| {
            planned.meant.enabled && !planned.validated(standing) && !standing.validation.asked
        };
        let first = async {
            loop {
                // Listened for before the look, so that nothing falls between.
                let over = self.over.notified();
                if !open(&standing()) {
                    return;
                }
                over.await;
            }
        };
        drop(tokio::time::timeout(FIRST, first).await);
    }

    async fn send(&self, planned: &Planned, code: Option<&str>) -> Result<Answered, SendError> {
        let url = code.map(|code| self.validation_url(planned, code));
        let ping = envelope::Ping {
            creator_id: planned.meant.creator.user_id,
            subscription: planned.id,
            url_callback: &planned.meant.url_text,
            validation: code.zip(url.as_deref()),
        };
        let now = clock::now();
        let body = envelope::ping(&ping, now);
        let message = Message { body, content_type: "application/json".into(), headers: Vec::new() };
        // Every PING is sent once, and none has an event's id.
        let id = format!("ping-{}", now.as_nanosecond());
        self.client.send(outgoing::outgoing(planned, message, &id, now), planned.meant.timeout).await
    }

    /// How the subscription stands, with a validation code for its URL if it needs one.
    async fn with_code(&self, planned: &Planned) -> Result<Arc<Standing>, Error> {
        let standing = self.store.standing(planned.id).unwrap_or_default();
        let url = &planned.meant.url_text;
        let ready = |validation: &Validation| {
            validation.url_callback.as_ref() == Some(url) && validation.code.is_some()
        };
        if ready(&standing.validation) || planned.validated(&standing) {
            return Ok(standing);
        }
        let code = new_code();
        let change = |standing: &mut Standing| {
            if !ready(&standing.validation) {
                let (url_callback, code) = (Some(url.clone()), Some(code.clone()));
                standing.validation = Validation { url_callback, code, ..Validation::default() };
            }
        };
        self.store.set_standing(planned.id, &change).await
    }

    /// From now on events of a subscription that is not validated are no longer kept waiting.
    async fn mark_asked(&self, planned: &Planned, said: String) -> Result<(), Error> {
        let standing = self.store.standing(planned.id).unwrap_or_default();
        let said = Some(said).filter(|_| !planned.validated(&standing));
        if !standing.validation.asked || standing.validation.said != said {
            let asked = |standing: &mut Standing| {
                (standing.validation.asked, standing.validation.said) = (true, said.clone());
            };
            self.store.set_standing(planned.id, &asked).await?;
        }
        Ok(())
    }
}

/// Whether an answer proves the callback: any 2xx whose body is a JSON object with the
/// code as `validation_code`; other members and the content type do not matter.
fn echoes(answer: &Answered, code: &str) -> bool {
    let body = serde_json::from_slice::<serde_json::Value>(&answer.body);
    answer.status.is_success() && body.is_ok_and(|body| body["validation_code"] == code)
}

/// 16 random bytes as 32 lowercase hex digits.
fn new_code() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}
