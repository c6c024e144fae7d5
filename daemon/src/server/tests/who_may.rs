//! The table of who may ask what: every request through every socket, with every kind of
//! host, page, content type and token.

use super::*;

/// Method, path.
const REQUESTS: [(&str, &str); 15] = [
    ("POST", "/events"),
    ("GET", "/events"),
    ("GET", "/healthz"),
    ("POST", "/healthz"),
    ("HEAD", "/metrics"),
    ("GET", "/api/status"),
    ("POST", "/api/replay"),
    ("GET", "/webhooks/api/v1/validate/1/2/ab"),
    ("GET", "/webhooks/api/v1/status"),
    ("POST", "/webhooks/api/v1/subscriptions/1"),
    ("POST", "/track/track"),
    ("POST", "/track/nobody"),
    ("GET", "/track/track"),
    ("GET", "/elsewhere"),
    ("GET", "/events/"),
];

/// `Host`, and whether it is ours.
const HOSTS: [(Option<&str>, bool); 11] = [
    (Some("127.0.0.1:7717"), true),
    (Some("LocalHost"), true),
    (Some("[::1]:7717"), true),
    (Some("relay.test:7717"), true),
    (Some("relay.test"), true),
    (Some("localhost:7718"), false),
    (Some("localhost.evil.test"), false),
    (Some("127.0.0.1.evil.test:7717"), false),
    (Some("192.168.0.1:7717"), false),
    (Some(""), false),
    (None, false),
];

/// `Origin`, `Sec-Fetch-Site`, and whether such a page may ask.
const PAGES: [(Option<&str>, Option<&str>, bool); 10] = [
    (None, None, true),
    (Some("http://localhost:7717"), Some("same-origin"), true),
    (Some("https://relay.test"), None, true),
    (None, Some("none"), true),
    (Some("null"), None, false),
    (Some("http://localhost:3000"), Some("same-site"), false),
    (Some("https://localhost:7717"), None, false),
    (Some("http://localhost"), None, false),
    (Some("https://evil.test"), Some("cross-site"), false),
    (None, Some("cross-site"), false),
];

const TYPES: [Option<&str>; 4] =
    [Some("application/json"), Some("application/x-ndjson"), Some("text/plain"), None];

/// What one request of the table is like.
#[derive(Debug)]
struct Case<'a> {
    peer: Peer,
    method: &'static str,
    path: &'static str,
    headers: [(&'static str, Option<&'a str>); 6],
    content_type: Option<&'static str>,
    /// Host and page are ours.
    near: bool,
    /// The token is right.
    token: bool,
}

impl Case<'_> {
    fn expected(&self) -> u16 {
        let local = self.peer == Peer::Unix;
        match (self.method, self.path, self.content_type) {
            // Whoever asks: this door knows only signatures, and nobody here has one.
            ("POST", "/track/track", _) => 401,
            ("POST", "/track/nobody", _) => 404,
            ("GET", "/track/track", _) => 405,
            _ if !local && !self.near => 403,
            (_, "/elsewhere" | "/events/", _) => 404,
            ("GET", "/events", _) | ("POST", "/healthz", _) => 405,
            (_, "/api/status" | "/api/replay", _) if !local && !self.token => 401,
            ("POST", "/api/replay", Some("application/json")) => 200,
            // Who its users are is for the API itself to say.
            ("POST", "/webhooks/api/v1/subscriptions/1", Some("application/json")) => 200,
            ("POST", "/events", Some("application/json" | "application/x-ndjson")) => 202,
            ("POST", _, _) => 415,
            _ => 200,
        }
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let body = if self.method == "POST" { TAG } else { "" };
        request.body(Full::new(Bytes::from(body))).unwrap()
    }
}

fn cases(token: &str) -> Vec<Case<'_>> {
    let wrong = "Bearer 00000000000000000000000000000000";
    let tokens = [(Some(token), true), (Some(wrong), false), (Some("Basic YTpi"), false), (None, false)];
    let mut cases = Vec::new();
    for peer in [Peer::Tcp, Peer::Unix] {
        for (method, path) in REQUESTS {
            for (host, ours) in HOSTS {
                for (origin, site, may) in PAGES {
                    for content_type in TYPES {
                        for (authorization, token) in tokens {
                            let headers = [
                                ("host", host),
                                ("origin", origin),
                                ("sec-fetch-site", site),
                                ("content-type", content_type),
                                ("authorization", authorization),
                                ("content-length", (method == "POST").then_some("73")),
                            ];
                            let near = ours && may;
                            cases.push(Case { peer, method, path, headers, content_type, near, token });
                        }
                    }
                }
            }
        }
    }
    cases
}

#[tokio::test]
async fn who_may_ask_what() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::new();
    let (doors, _, token) = doors(&rig, folder.path(), Limits::default());
    let guard = Guard::new(([127, 0, 0, 1], 7717).into(), &["Relay.test".into()]);
    let service = Service { guard, doors };
    let token = format!("Bearer {token}");
    let cases = cases(&token);
    assert_eq!(cases.len(), 2 * 15 * 11 * 10 * 4 * 4);
    for case in cases {
        let answer = service.answer(case.peer, case.request()).await.unwrap();
        assert_eq!(answer.status().as_u16(), case.expected(), "{case:?}");
        for hard in ["content-security-policy", "x-content-type-options", "cache-control"] {
            assert!(answer.headers().contains_key(hard), "{hard}: {case:?}");
        }
        assert!(!answer.headers().contains_key("access-control-allow-origin"), "{case:?}");
    }
}
