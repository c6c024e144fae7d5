//! The client against servers that misbehave, on real sockets.

use futures_util::FutureExt;
use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const LONG: Duration = Duration::from_secs(10);

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    (listener, url)
}

fn post(url: &str) -> Outgoing {
    Request::builder().method(Method::POST).uri(url).body(Full::new(Bytes::from_static(b"body"))).unwrap()
}

/// Reads one request to the end of its body.
async fn take_request(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"body") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "the client hung up");
    }
}

async fn answer(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_closed_since_its_last_use_is_replaced_unnoticed() {
    let (listener, url) = listener().await;
    let server = async {
        let (mut first, _) = listener.accept().await.unwrap();
        take_request(&mut first).await;
        answer(&mut first, OK).await;
        take_request(&mut first).await;
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        take_request(&mut second).await;
        answer(&mut second, OK).await;
    };
    let client = Client::default();
    let requests = async {
        for _ in 0..2 {
            assert_eq!(client.send(post(&url), LONG).await.unwrap().status, 200);
        }
    };
    tokio::join!(server, requests);
}

#[tokio::test]
async fn a_fresh_connection_closed_without_an_answer_is_a_failure() {
    let (listener, url) = listener().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        take_request(&mut stream).await;
    };
    let client = Client::default();
    let ((), sent) = tokio::join!(server, client.send(post(&url), LONG));
    assert!(matches!(sent, Err(SendError::Failed(_))), "{sent:?}");
    assert!(listener.accept().now_or_never().is_none(), "it was sent once more");
}

/// Whether it ends before, while or after the request is sent is a race, and not told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_at_once_is_told_the_same_way_whenever_it_is_noticed() {
    let (listener, url) = listener().await;
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
        }
    });
    let client = Client::default();
    for _ in 0..500 {
        let error = client.send(post(&url), LONG).await.unwrap_err();
        assert!(error.to_string().ends_with(" the connection before it had answered"), "{error}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let (listener, url) = listener().await;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        take_request(&mut stream).await;
        answer(&mut stream, "HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let client = Client::default();
    let ((), sent) = tokio::join!(server, client.send(post(&url), LONG));
    assert_eq!(sent.unwrap().body.len(), KEPT);
}

#[tokio::test]
async fn the_whole_exchange_fits_into_the_timeout() {
    let (listener, url) = listener().await;
    let client = Client::default();
    let sent = client.send(post(&url), Duration::from_millis(50)).await;
    assert!(matches!(sent, Err(SendError::TimedOut(_))), "{sent:?}");
    drop(listener);
    let refused = client.send(post(&url), LONG).await;
    assert!(matches!(refused, Err(SendError::Refused(_))), "{refused:?}");
}

#[test]
fn retry_after_is_read_in_every_form() {
    let now = "2025-09-10T08:00:00Z".parse().unwrap();
    let table = [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("99999999999999999999999", Some(u64::MAX)),
        ("Wed, 10 Sep 2025 08:01:30 GMT", Some(90)),
        ("Wed, 10 Sep 2025 07:00:00 GMT", Some(0)),
        ("Wednesday, 10-Sep-25 08:01:30 GMT", Some(90)),
        ("Wed Sep 10 08:01:30 2025", Some(90)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(251_644_716_001)),
        ("Wed, 10 Sep 2025 08:01:30 CEST", None),
        ("2025-09-10T08:01:30Z", None),
        ("-5", None),
        ("+5", None),
        ("5s", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ];
    for (text, seconds) in table {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, text.parse().unwrap());
        let asked = retry_after(&headers, now).map(|wait| wait.as_secs_f64().round() as u64);
        assert_eq!(asked, seconds, "`{text}`");
    }
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
}

#[test]
fn of_several_retry_after_the_longest_is_meant() {
    let now = "2025-09-10T08:00:00Z".parse().unwrap();
    let mut headers = HeaderMap::new();
    for text in ["7", "soon", "Wed, 10 Sep 2025 08:01:30 GMT", "30"] {
        headers.append(header::RETRY_AFTER, text.parse().unwrap());
    }
    assert_eq!(retry_after(&headers, now), Some(Duration::from_secs(90)));
}

/// However many kept connections have been closed since, the second try is not over one of them.
#[tokio::test]
async fn the_second_try_is_over_a_fresh_connection() {
    const KEPT_OPEN: usize = 5;
    let (listener, url) = listener().await;
    let client = Client::default();
    let server = async {
        let mut streams = Vec::new();
        for _ in 0..KEPT_OPEN {
            let (mut stream, _) = listener.accept().await.unwrap();
            take_request(&mut stream).await;
            streams.push(stream);
        }
        for stream in &mut streams {
            answer(stream, OK).await;
        }
        streams
    };
    let sent = futures_util::future::join_all((0..KEPT_OPEN).map(|_| client.send(post(&url), LONG)));
    let (mut streams, sent) = tokio::join!(server, sent);
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let server = async {
        let taken = streams.iter_mut().map(|stream| Box::pin(stream.readable()));
        let (_, used, _) = futures_util::future::select_all(taken).await;
        take_request(&mut streams[used]).await;
        drop(streams.remove(used));
        let (mut fresh, _) = listener.accept().await.unwrap();
        take_request(&mut fresh).await;
        answer(&mut fresh, OK).await;
        streams
    };
    let (_streams, sent) = tokio::join!(server, client.send(post(&url), LONG));
    assert_eq!(sent.unwrap().status, 200);
}
