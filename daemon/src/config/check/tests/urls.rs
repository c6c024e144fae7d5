//! Callback URLs.

use std::net::IpAddr;

use crate::config::check::refused_address;
use crate::config::check::url::url_callback;
use crate::config::file::At;

fn read(text: &str) -> Result<String, String> {
    let written = At { value: text.to_owned(), span: 0..text.len() };
    url_callback(&written).map(|url| url.to_string()).map_err(|flaw| flaw.message)
}

pub(super) const GOOD: [&str; 11] = [
    "http://127.0.0.1:3000/toggl",
    "http://localhost",
    "http://[::1]:3000/",
    "https://example.com/a/b?c=d",
    "HTTPS://EXAMPLE.COM/",
    "http://10.0.0.1/",
    "http://192.168.1.1/",
    "http://bücher.example/",
    "http://user.example/@at",
    "http://[fd00::1]/",
    "http://h\u{feff}/?a=%20[]|\"<>^`{}",
];

#[test]
fn what_can_be_sent_to() {
    for text in GOOD {
        assert!(read(text).is_ok(), "{text}: {:?}", read(text));
    }
}

#[test]
fn what_cannot() {
    for (text, wrong) in [
        ("", "has no scheme"),
        ("localhost/hook", "has no scheme"),
        ("localhost:3000/hook", "has the scheme `localhost`"),
        ("ftp://example.com/", "has the scheme `ftp`"),
        ("file:///etc/passwd", "has the scheme `file`"),
        ("http:", "has no host"),
        ("http://", "has no host"),
        ("http:/example.com", "has no host"),
        ("http:///example.com", "has no host"),
        ("http://?a", "has no host"),
        ("http://ana@example.com/", "holds a user name or password"),
        ("http://:pw@example.com/", "holds a user name or password"),
        ("http://example.com/#there", "holds a fragment"),
        ("http://example.com/#", "holds a fragment"),
        ("http://example.com/a b", "holds a space or a backslash"),
        (" http://example.com/", "holds a space or a backslash"),
        ("http:\\\\example.com", "holds a space or a backslash"),
        ("http://example.com:0/", "has port 0"),
        ("http://example.com:99999/", "is not a URL: invalid port number"),
        ("http://[::1/", "is not a URL: invalid IPv6 address"),
        ("http://169.254.169.254/latest", "points at a link-local address"),
        ("http://169.254.0.1/", "points at a link-local address"),
        ("http://2852039166/", "points at a link-local address"),
        ("http://0xa9.254.169.254/", "points at a link-local address"),
        ("http://[fe80::1]/", "points at a link-local address"),
        ("http://[::ffff:169.254.169.254]/", "points at a link-local address"),
        ("http://[fd00:ec2::254]/", "points at a cloud's metadata address"),
        ("http://100.100.100.200/", "points at a cloud's metadata address"),
        ("http://metadata.google.internal/", "points at a cloud's metadata address"),
        ("http://METADATA.google.internal./", "points at a cloud's metadata address"),
    ] {
        assert_eq!(read(text), Err(format!("`url_callback` {wrong}")), "{text}");
    }
    let long = format!("http://127.0.0.1/{}", "x".repeat(8000));
    assert_eq!(read(&long), Err("`url_callback` is longer than 8000 bytes".to_owned()));
}

#[test]
fn addresses_of_this_machine_and_its_networks_are_fine() {
    for address in ["127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "8.8.8.8", "fd00::1"] {
        assert_eq!(refused_address(address.parse::<IpAddr>().unwrap()), None, "{address}");
    }
}
