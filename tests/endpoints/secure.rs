//! Bad certificates, bad handshakes, and HTTP/2 that goes wrong: each is a row. The daemon
//! trusts one authority, as on a laptop of a company that has its own.

use std::time::Duration;

use super::row::{check_with, row, row_with};
use crate::harness::authority::{Authority, Flaw};
use crate::harness::endpoint::Manners::{Http2, Tls};
use crate::harness::frames::Frame::{Body, Close, GoAway, Head, Hints, Ok, Reset as ResetStream};
use crate::harness::frames::{ENHANCE_YOUR_CALM, Frames, GOES, GONE, INTERNAL_ERROR, REFUSED_STREAM};
use crate::harness::script::Step::{Drip, Hang, Pause, Request, Reset};
use crate::harness::script::{OK, always, answer, say};

#[test]
fn certificates_are_checked_and_handshakes_end() {
    let authority = Authority::new("our company");
    let with = |flaw| Tls(authority.server(flaw, &["http/1.1"]), answer(OK));
    let refused = |name, flaw, said| row_with(name, with(flaw)).fails(said).requests(0);
    let tls = |script: Vec<_>| Tls(authority.server(Flaw::None, &["http/1.1"]), script);
    check_with(
        &[
            row_with("of-the-company", with(Flaw::None)).delivers(200),
            row_with("without-alpn", Tls(authority.server(Flaw::None, &[]), always(OK))).delivers(200),
            refused("of-another-name", Flaw::OtherName, "its certificate is for another name ("),
            refused("expired", Flaw::Expired, "its certificate has expired ("),
            refused("not-yet-valid", Flaw::NotYetValid, "is not valid yet; is this machine's clock right?"),
            refused("self-signed", Flaw::SelfSigned, "`SSL_CERT_FILE` names further authorities ("),
            refused("an-authority-itself", Flaw::Authority, "its certificate is that of an authority"),
            refused("for-clients", Flaw::OtherPurpose, "failed to agree on TLS with `localhost:"),
            row_with("of-a-stranger", Tls(Authority::new("strangers").server(Flaw::None, &[]), answer(OK)))
                .fails("`SSL_CERT_FILE` names further authorities (")
                .requests(0),
            row("speaks-plain-http", [say("HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n"), Hang])
                .over_tls()
                .fails("it does not speak TLS; should the URL begin with `http://`? ("),
            // What TLS 1.1 has to say to us: alert 70, `protocol_version`.
            row("knows-old-tls-only", [say("\x15\x03\x01\x00\x02\x02\x46"), Hang])
                .over_tls()
                .fails("failed to agree on TLS"),
            row("hangs-in-the-handshake", [Hang])
                .over_tls()
                .comes_late("did not answer the TLS handshake within 2.5s"),
            row(
                "drips-its-handshake",
                [Drip(b"\x16\x03\x03\x00\xc8\x02\x00".to_vec(), Duration::from_secs(1))],
            )
            .over_tls()
            .comes_late("did not answer the TLS handshake within 2.5s"),
            row("closes-in-the-handshake", [Pause(Duration::from_millis(50))])
                .over_tls()
                .fails("; does it speak TLS?"),
            row("resets-in-the-handshake", [Pause(Duration::from_millis(50)), Reset])
                .over_tls()
                .fails("reset"),
            row_with("hangs-over-tls", tls(vec![Request, Hang]))
                .comes_late("status and headers did not come within 2.5s"),
            row_with("closes-over-tls", tls(vec![Request])).fails("before it had answered"),
            row_with("resets-over-tls", tls(vec![Request, Reset])).fails("before it had answered"),
            row_with("half-over-tls", tls(answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")))
                .fails("answered 200 OK, but the answer broke off"),
        ],
        &authority,
    );
}

/// What the other side says it has not read is sent again at once, and counts once; what it
/// may have read is not.
#[test]
fn streams_and_connections_of_http2_end_in_every_way() {
    let authority = Authority::new("our company");
    let frames = |name, frames: fn(usize) -> Frames| {
        row_with(name, Http2(authority.server(Flaw::None, &["h2", "http/1.1"]), frames))
    };
    check_with(
        &[
            frames("answers", |_| vec![vec![Ok]]),
            frames("hangs", |_| vec![vec![]]).comes_late("status and headers did not come within 2.5s"),
            frames("hangs-amid-the-body", |_| vec![vec![Head, Body(9)]])
                .comes_late("answered 200 OK, but the answer did not end within 2.5s"),
            frames("never-ends-its-body", |_| vec![[&[Head][..], &[Body(16 << 10); 4]].concat()]),
            frames("hints-for-ever", |_| vec![vec![Hints]]).comes_late("within 2.5s"),
            frames("resets-the-stream", |_| vec![vec![ResetStream(INTERNAL_ERROR)]]).fails("internal error"),
            frames("resets-amid-the-body", |_| vec![vec![Head, Body(9), ResetStream(INTERNAL_ERROR)]])
                .fails("answered 200 OK, but the answer broke off"),
            frames("refuses-all-streams", |_| vec![vec![ResetStream(REFUSED_STREAM)]])
                .fails("refused stream before processing")
                .requests(4),
            frames("refuses-one-stream", |before| match before {
                0 => vec![vec![ResetStream(REFUSED_STREAM)]],
                _ => vec![vec![Ok]],
            })
            .requests(2),
            frames("goes-away-unread", |before| match before {
                0 => vec![vec![GONE, Close]],
                _ => vec![vec![Ok]],
            })
            .requests(2),
            frames("goes-away-and-answers", |_| vec![vec![GOES, Ok, Close]]),
            frames("goes-away-without-an-answer", |_| vec![vec![GOES, Close]])
                .fails("before it had answered"),
            frames("goes-away-amid-the-body", |_| vec![vec![Head, Body(9), GOES, Close]])
                .fails("answered 200 OK, but the answer broke off"),
            frames("goes-away-in-anger", |_| {
                vec![vec![GoAway { taken: false, reason: ENHANCE_YOUR_CALM }, Close]]
            })
            .fails("excessive load"),
            frames("closes", |_| vec![vec![Close]]).fails("before it had answered"),
        ],
        &authority,
    );
}
