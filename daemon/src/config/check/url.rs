//! Callback URLs, and the addresses that nothing is sent to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::config::file::At;
use crate::config::problem::Flaw;

/// As long as common servers take a request line.
const LONGEST: usize = 8000;

/// Where clouds answer with credentials, besides the link-local address most of them use.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

const METADATA_HOST: &str = "metadata.google.internal";

/// Why nothing may be sent to this address, if so. Loopback and private ones are fine.
pub fn refused_address(address: IpAddr) -> Option<&'static str> {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if METADATA.contains(&address) {
        Some("a cloud's metadata address")
    } else if link_local {
        Some("a link-local address")
    } else {
        None
    }
}

/// Reads a callback URL that stands in no file.
pub fn callback_of(text: &str) -> Result<Url, Flaw> {
    url_callback(&At { value: text.to_owned(), span: 0..0 })
}

pub(super) fn url_callback(written: &At<String>) -> Result<Url, Flaw> {
    let flaw = |wrong: &str, hint: &str| {
        Flaw::new(written.span.clone(), format!("`url_callback` {wrong}")).hint(hint)
    };
    if written.value.len() > LONGEST {
        return Err(Flaw::new(
            written.span.clone(),
            format!("`url_callback` is longer than {LONGEST} bytes"),
        ));
    }
    // The parser forgives these; the envelope would repeat them to receivers.
    if written.value.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(flaw("holds a space or a backslash", "write a space as `%20`"));
    }
    let example = "write a whole URL, such as \"http://127.0.0.1:3000/toggl\"";
    let url = Url::parse(&written.value).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => flaw("has no scheme", example),
        url::ParseError::EmptyHost => flaw("has no host", example),
        error => flaw(&format!("is not a URL: {error}"), example),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(flaw(&format!("has the scheme `{}`", url.scheme()), "use http or https"));
    }
    let after_scheme = written.value.get(url.scheme().len()..).unwrap_or_default();
    if !after_scheme.starts_with("://") || after_scheme.starts_with(":///") {
        return Err(flaw("has no host", example));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "take them out; `headers = { authorization = \"…\" }` sends some";
        return Err(flaw("holds a user name or password", hint));
    }
    if url.fragment().is_some() {
        return Err(flaw("holds a fragment", "take out `#` and what follows; it is never sent"));
    }
    if url.port() == Some(0) {
        return Err(flaw("has port 0", "name the port that the receiver listens on"));
    }
    match refused_host(&url) {
        Some(what) => Err(flaw(&format!("points at {what}"), "nothing is sent there; use another address")),
        None => Ok(url),
    }
}

fn refused_host(url: &Url) -> Option<&'static str> {
    match url.host()? {
        Host::Ipv4(address) => refused_address(address.into()),
        Host::Ipv6(address) => refused_address(address.into()),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name.eq_ignore_ascii_case(METADATA_HOST).then_some("a cloud's metadata address")
        }
    }
}
