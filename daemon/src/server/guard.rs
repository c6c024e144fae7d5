//! Who may ask what. On TCP any program, and any page open in a browser, can reach us, so
//! there a request must be for a name of ours, must not come from a foreign page, and needs
//! the token where it matters. The Unix socket checked its peer already. Pure.

use std::net::SocketAddr;
use std::path::PathBuf;

use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::header::{TRANSFER_ENCODING, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::token::Token;
use crate::answer::{self, Answer};
use crate::event::read::Kind;
use crate::source::body;

/// Through which socket somebody came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Tcp,
    /// The same user, or root.
    Unix,
}

/// What stands before the name of a source.
const TRACK: &str = "/track/";

/// The source that a path means.
pub(super) fn source_of(path: &str) -> &str {
    path.strip_prefix(TRACK).unwrap_or_default()
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Events,
    Health,
    Metrics,
    Api,
    /// Guarded by the signature over the body, which `source` checks.
    Track,
    /// Track's Webhooks API, which knows its users itself.
    Webhooks,
    /// Guarded by the code in its path alone, as it is at Track.
    Validate,
    Unknown,
}

impl Door {
    pub(super) fn of(path: &str) -> Door {
        match path {
            "/events" => Door::Events,
            "/healthz" => Door::Health,
            "/metrics" => Door::Metrics,
            "/api" => Door::Api,
            _ if path.starts_with("/api/") => Door::Api,
            _ if path.starts_with(TRACK) => Door::Track,
            _ if path.starts_with("/webhooks/api/v1/validate/") => Door::Validate,
            _ if path.starts_with("/webhooks/api/v1/") => Door::Webhooks,
            _ => Door::Unknown,
        }
    }

    /// The methods it knows, as an `Allow` header; none where the handler decides.
    fn methods(self) -> Option<&'static str> {
        match self {
            Door::Events | Door::Track => Some("POST"),
            Door::Health | Door::Metrics => Some("GET, HEAD"),
            Door::Validate => Some("GET"),
            Door::Api | Door::Webhooks | Door::Unknown => None,
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.methods().is_none_or(|methods| methods.split(", ").any(|known| known == method))
    }
}

/// Why somebody may not come in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the host `{0}` is not ours; if it should be, add it to `[listen] hosts`")]
    Host(String),
    #[error("one `Host` header is needed")]
    NoHost,
    #[error("pages of `{0}` may not ask; only programs and our own pages may")]
    Origin(String),
    #[error("pages of other sites may not ask; only programs and our own pages may")]
    CrossSite,
    #[error(
        "nothing is here; events go to `POST /events`, those of Track to `POST /track/NAME`, the API is under `/api/`, Track's own under `/webhooks/api/v1/`"
    )]
    NoSuchPath,
    #[error("only {0} works here")]
    Method(&'static str),
    #[error("`{}` holds the token that is needed here as `Authorization: Bearer …`; the Unix socket needs none", .0.display())]
    Token(PathBuf),
    #[error("`content-type` must be `application/json`")]
    ContentType,
    #[error("`content-encoding` must be left out: send the body as it is, not compressed")]
    ContentEncoding,
}

impl Refusal {
    pub(super) fn answer(&self) -> Answer {
        let mut answer = answer::refusal(self.status(), self);
        match self {
            Refusal::Method(methods) => {
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
            }
            Refusal::Token(_) => {
                answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        answer
    }

    /// One word for counting.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Refusal::Host(_) | Refusal::NoHost => "host",
            Refusal::Origin(_) | Refusal::CrossSite => "origin",
            Refusal::NoSuchPath => "path",
            Refusal::Method(_) => "method",
            Refusal::Token(_) => "token",
            Refusal::ContentType => "content_type",
            Refusal::ContentEncoding => "content_encoding",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Refusal::Host(_) | Refusal::NoHost | Refusal::Origin(_) | Refusal::CrossSite => {
                StatusCode::FORBIDDEN
            }
            Refusal::NoSuchPath => StatusCode::NOT_FOUND,
            Refusal::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Token(_) => StatusCode::UNAUTHORIZED,
            Refusal::ContentType | Refusal::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// The names we answer to on TCP.
pub(super) struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    /// `tcp` is the address as bound, `extra` is `[listen] hosts`.
    pub(super) fn new(tcp: SocketAddr, extra: &[String]) -> Guard {
        let port = tcp.port();
        let mut guard = Guard { hosts: Vec::new(), origins: Vec::new() };
        for name in ["127.0.0.1", "localhost", "[::1]"] {
            guard.hosts.extend([name.to_owned(), format!("{name}:{port}")]);
            guard.origins.push(format!("http://{name}:{port}"));
            if port == 80 {
                guard.origins.push(format!("http://{name}"));
            }
        }
        guard.hosts.push(tcp.to_string());
        // In front of an extra name stands a proxy or a tunnel, with a port and TLS of its own.
        for name in extra.iter().map(|name| name.to_ascii_lowercase()) {
            for host in [format!("{name}:{port}"), name] {
                guard.origins.extend([format!("http://{host}"), format!("https://{host}")]);
                guard.hosts.push(host);
            }
        }
        guard
    }

    /// Lets a request through, or says why not. Whether a body is one of events, and signed
    /// where it must be, is for `source` to say.
    pub(super) fn check(&self, peer: Peer, door: Door, head: &Parts, token: &Token) -> Result<(), Refusal> {
        // Tunnels send a host and a page of their own.
        if peer == Peer::Tcp && door != Door::Track {
            self.check_host(head)?;
            self.check_page(&head.headers)?;
        }
        if door == Door::Unknown {
            return Err(Refusal::NoSuchPath);
        }
        if let Some(methods) = door.methods().filter(|_| !door.takes(&head.method)) {
            return Err(Refusal::Method(methods));
        }
        if door == Door::Api {
            check_token(peer, &head.headers, token)?;
        }
        if matches!(door, Door::Api | Door::Webhooks) {
            check_content_type(head)?;
        }
        Ok(())
    }

    /// A page can point a name of its own at 127.0.0.1 (DNS rebinding), but its requests
    /// then carry that name.
    fn check_host(&self, head: &Parts) -> Result<(), Refusal> {
        let mut named = head.headers.get_all(HOST).iter();
        let (header, second) = (named.next(), named.next());
        let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
        if second.is_some() || (header.is_none() && authority.is_none()) {
            return Err(Refusal::NoHost);
        }
        for host in header.map(HeaderValue::as_bytes).into_iter().chain(authority) {
            if !is_listed(&self.hosts, host) {
                return Err(Refusal::Host(shown(host)));
            }
        }
        Ok(())
    }

    /// Browsers say which page a request comes from; programs say nothing.
    fn check_page(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        for origin in headers.get_all(ORIGIN) {
            if !is_listed(&self.origins, origin.as_bytes()) {
                return Err(Refusal::Origin(shown(origin.as_bytes())));
            }
        }
        let cross_site = |site: &HeaderValue| site.as_bytes().eq_ignore_ascii_case(b"cross-site");
        if headers.get_all("sec-fetch-site").iter().any(cross_site) {
            return Err(Refusal::CrossSite);
        }
        Ok(())
    }
}

fn check_token(peer: Peer, headers: &HeaderMap, token: &Token) -> Result<(), Refusal> {
    let may = peer == Peer::Unix || bearer(headers).is_some_and(|given| token.is(given));
    may.then_some(()).ok_or_else(|| Refusal::Token(token.path().to_owned()))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// A form or a plain text can be sent by any page without asking first; JSON cannot.
fn check_content_type(head: &Parts) -> Result<(), Refusal> {
    let length = head.headers.get(CONTENT_LENGTH);
    let has_body = length.is_some_and(|length| length != "0") || head.headers.contains_key(TRANSFER_ENCODING);
    let writes = !matches!(head.method, Method::GET | Method::HEAD);
    if writes && has_body && body::kind(&head.headers) != Some(Kind::Json) {
        return Err(Refusal::ContentType);
    }
    // Nothing here unpacks a body, and packed it would only be told to be no JSON.
    match writes && has_body && body::is_encoded(&head.headers) {
        true => Err(Refusal::ContentEncoding),
        false => Ok(()),
    }
}

fn is_listed(listed: &[String], given: &[u8]) -> bool {
    listed.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(given))
}

/// A header of a stranger, short and printable.
fn shown(value: &[u8]) -> String {
    const LONGEST: usize = 80;
    value[..value.len().min(LONGEST)].escape_ascii().to_string()
}
