//! Bad answers and no answers over plain HTTP: each way to misbehave is a row.

use std::time::Duration;

use super::row::{check, row};
use crate::harness::script::Step::{Drip, Hang, Head, Pause, Pour, Request, Reset};
use crate::harness::script::{OK, always, answer, say};

const SECOND: Duration = Duration::from_secs(1);
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const BOMB: &str = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1000000000\r\n\r\n";

/// Never answered within `timeout`, which is for the whole exchange: each byte that comes
/// does not begin it anew.
#[test]
fn slow_endpoints_are_given_up_at_the_timeout() {
    let drip = |text: &str| Drip(text.as_bytes().to_vec(), SECOND);
    check(&[
        row("hangs-before-reading", [Hang])
            .comes_late("status and headers did not come within 2.5s")
            .requests(0),
        row("hangs-after-the-head", [Head, Hang]).comes_late("status and headers did not come within 2.5s"),
        row("hangs-after-reading", [Request, Hang]).comes_late("status and headers did not come within 2.5s"),
        row("hangs-after-the-status", [Request, say("HTTP/1.1 200 OK\r\n"), Hang])
            .comes_late("status and headers did not come within 2.5s"),
        row("hangs-amid-headers", [Request, say("HTTP/1.1 200 OK\r\nx: y\r\ncont"), Hang])
            .comes_late("status and headers did not come within 2.5s"),
        row("hangs-amid-the-body", [Request, say(HEAD), say("ab"), Hang])
            .comes_late("answered 200 OK, but the answer did not end within 2.5s"),
        row("never-takes-a-big-body", [Head, Pause(20 * SECOND)])
            .big()
            .comes_late("status and headers did not come within 2.5s"),
        row("drips-its-headers", [Request, drip(OK)])
            .comes_late("status and headers did not come within 2.5s"),
        row("drips-its-body", [Request, say(HEAD), drip("abcde")])
            .comes_late("answered 200 OK, but the answer did not end within 2.5s"),
        row("drips-its-chunks", [Request, say(CHUNKED), drip("1\r\na\r\n0\r\n\r\n")])
            .comes_late("answered 200 OK, but the answer did not end within 2.5s"),
    ]);
}

/// Too much of an answer is cut off; what was said in its first 64 KiB counts.
#[test]
fn endless_answers_are_cut_off() {
    let line = |text: &str| Pour(text.as_bytes().to_vec());
    let kilobyte = "a".repeat(1024);
    let beyond = "answered with status and headers beyond 16 KiB or 100 fields";
    let of_fields = |n| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(n));
    check(&[
        row("endless-headers", [Request, say("HTTP/1.1 200 OK\r\n"), line("x-more: and more\r\n")])
            .fails(beyond),
        row("a-field-too-many", answer(&of_fields(101))).fails(beyond),
        row("as-many-fields-as-fit", answer(&of_fields(100))).delivers(200),
        row("endless-header-line", [Request, say("HTTP/1.1 200 OK\r\nx: "), line(&kilobyte)]).fails(beyond),
        row("endless-status-line", [Request, say("HTTP/1.1 200 "), line(&kilobyte)]).fails(beyond),
        row("endless-body", [Request, say("HTTP/1.1 200 OK\r\n\r\n"), line(&kilobyte)]).delivers(200),
        row("endless-chunks", [Request, say(CHUNKED), line("400\r\n")]).fails("broke off"),
        row("endless-refusal", [Request, say("HTTP/1.1 500 No\r\n\r\n"), line("no, ")])
            .fails_with(500, "answered 500 Internal Server Error: no, no, "),
        row("continues-for-ever", [Request, line("HTTP/1.1 100 Continue\r\n\r\n")])
            .fails("sent more than 64 informational answers (1xx) and none that counts"),
        row("hints-for-ever", [Request, line("HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n")])
            .fails("sent more than 64 informational answers (1xx) and none that counts"),
        row("gzip-bomb", [Request, say(BOMB), line(&"\x00".repeat(1024))]).delivers(200),
    ]);
}

#[test]
fn broken_answers_are_failed_attempts() {
    check(&[
        row("accepts-and-closes", [Pause(Duration::ZERO)])
            .fails("the connection before it had answered")
            .requests(0),
        row("accepts-and-resets", [Reset]).fails("reset").requests(0),
        row("closes-after-the-head", [Head]).fails("connection"),
        row("closes-after-reading", [Request]).fails("closed the connection before it had answered"),
        row("resets-after-reading", [Request, Reset]).fails("reset the connection before it had answered"),
        row("closes-amid-headers", answer("HTTP/1.1 200 OK\r\ncontent-le"))
            .fails("closed the connection before it had answered"),
        row("closes-amid-the-body", [Request, say(HEAD), say("ab")])
            .fails("answered 200 OK, but the answer broke off: "),
        row("resets-amid-the-body", [Request, say(HEAD), say("ab"), Pause(SECOND / 10), Reset])
            .fails("answered 200 OK, but the answer broke off: Connection reset by peer"),
        row("closes-amid-a-chunk", [Request, say(CHUNKED), say("5\r\nab")])
            .fails("answered 200 OK, but the answer broke off: "),
        row("closes-between-chunks", [Request, say(CHUNKED), say("2\r\nab\r\n")])
            .fails("answered 200 OK, but the answer broke off: "),
        row("chunks-of-no-size", [Request, say(CHUNKED), say("many\r\nab\r\n"), Hang])
            .fails("answered 200 OK, but the answer broke off: "),
        row("chunk-of-2-to-the-64", [Request, say(CHUNKED), say("10000000000000000\r\nab\r\n"), Hang])
            .fails("answered 200 OK, but the answer broke off: "),
        row("status-99", answer("HTTP/1.1 99 Low\r\n\r\n")).fails("did not answer in HTTP"),
        row("status-1000", answer("HTTP/1.1 1000 High\r\n\r\n")).fails("did not answer in HTTP"),
        row("status-in-words", answer("HTTP/1.1 fine thanks\r\n\r\n")).fails("did not answer in HTTP"),
        row("status-999", answer("HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n"))
            .fails_with(999, "answered 999"),
        row("says-hello-first", answer("220 mail.example ESMTP\r\n")).fails("did not answer in HTTP"),
        row("nothing-but-html", answer("<html>hello</html>\r\n\r\n")).fails("did not answer in HTTP"),
        row("speaks-tls", answer("\x15\x03\x01\x00\x02\x02\x46"))
            .fails("should the URL begin with `https://`"),
        row("two-lengths", answer("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"))
            .fails("content-length"),
        row("length-in-words", answer("HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nab"))
            .fails("content-length"),
        row(
            "switches-protocols",
            answer("HTTP/1.1 101 Now\r\nupgrade: smoke\r\nconnection: upgrade\r\n\r\n"),
        )
        .fails_with(101, "answered 101 Switching Protocols"),
    ]);
}

/// Odd, but an answer. A status other than 2xx is a failure and says so.
#[test]
fn what_counts_is_the_status() {
    const EMPTY: &str = "content-length: 0\r\n\r\n";
    let loops = |status: &str| answer(&format!("HTTP/1.1 {status}\r\nlocation: /elsewhere\r\n{EMPTY}"));
    let status = |status: &str| answer(&format!("HTTP/1.1 {status}\r\n{EMPTY}"));
    check(&[
        row("created", status("201 Created")).delivers(201),
        row("no-content", answer("HTTP/1.1 204 No Content\r\n\r\n")).delivers(204),
        row("no-content-with-content", answer("HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok"))
            .delivers(204),
        row("reset-content", status("205 Reset Content")).delivers(205),
        row("not-modified", answer("HTTP/1.1 304 Not Modified\r\n\r\n"))
            .fails_with(304, "answered 304 Not Modified"),
        row("moved-for-ever", loops("301 Moved Permanently")).fails_with(301, "a redirect to /elsewhere"),
        row("found", loops("302 Found")).fails_with(302, "a redirect to /elsewhere, which is not followed"),
        row("see-other", loops("303 See Other")).fails_with(303, "a redirect to /elsewhere"),
        row("moved-for-now", loops("307 Temporary Redirect")).fails_with(307, "a redirect to /elsewhere"),
        row("moved-with-body", loops("308 Permanent Redirect")).fails_with(308, "a redirect to /elsewhere"),
        row("moved-nowhere", status("301 Moved Permanently")).fails_with(301, "a redirect, which is not"),
        row("gone", answer("HTTP/1.1 410 Gone\r\ncontent-length: 9\r\n\r\nmoved out"))
            .fails_with(410, "answered 410 Gone: moved out"),
        row("failed", status("500 Oops")).fails_with(500, "answered 500 Internal Server Error"),
        row("http-1-0", answer("HTTP/1.0 200 OK\r\n\r\nuntil the end")).delivers(200),
        row("connection-close", answer("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"))
            .delivers(200),
        row("length-and-chunks", answer(
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ))
        .delivers(200),
        row("bare-line-feeds", answer("HTTP/1.1 200 OK\ncontent-length: 2\n\nok")).delivers(200),
        row("one-hint", answer(&format!("HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n{OK}"))).delivers(200),
        row("answers-before-the-body", [Head, say(OK), Hang]).delivers(200),
        row("answers-before-a-big-body", [Head, say(OK), Request, Hang]).big().delivers(200),
        row("refuses-before-a-big-body",
            [Head, say("HTTP/1.1 413 Too Much\r\ncontent-length: 2\r\n\r\nno"), Pause(SECOND)])
            .big()
            .fails_with(413, "answered 413 Payload Too Large: no"),
        row("lets-all-through", always(OK)).delivers(200),
    ]);
}
