//! What an endpoint can do to a request, as a test wants it. How it is done is
//! `harness/receiver.rs`.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::receiver::Request;
use super::{DEADLINE, lock};

/// What the receiver does with a request.
#[derive(Clone)]
pub enum Answer {
    Reply {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// First takes this long.
    After(Duration, Box<Answer>),
    /// First waits until the gate is opened.
    When(Gate, Box<Answer>),
    /// Never answers, keeps the connection.
    Hang,
    /// Ends the connection without a word.
    Close,
    /// These bytes, whatever they mean, then the end of the connection.
    Raw(Vec<u8>),
    /// 200 and a body that never ends.
    Endless,
}

impl Answer {
    pub fn status(status: u16) -> Answer {
        Answer::Reply { status, headers: Vec::new(), body: String::new() }
    }

    pub fn with_header(self, name: &str, value: &str) -> Answer {
        match self {
            Answer::Reply { status, mut headers, body } => {
                headers.push((name.to_owned(), value.to_owned()));
                Answer::Reply { status, headers, body }
            }
            other => other,
        }
    }

    pub fn with_body(self, text: &str) -> Answer {
        match self {
            Answer::Reply { status, headers, .. } => Answer::Reply { status, headers, body: text.to_owned() },
            other => other,
        }
    }

    /// 200, and a PING's `validation_code` sent back, as a proper endpoint does.
    pub fn proper(request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match body.get("validation_code") {
            Some(code) => Answer::status(200).with_body(&json!({ "validation_code": code }).to_string()),
            None => Answer::status(200),
        }
    }

    pub fn after(self, wait: Duration) -> Answer {
        Answer::After(wait, Box::new(self))
    }

    pub fn when(self, gate: &Gate) -> Answer {
        Answer::When(gate.clone(), Box::new(self))
    }
}

/// Holds answers back until a test opens it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    pub fn wait(&self) {
        let (open, opened) = &*self.0;
        drop(opened.wait_timeout_while(lock(open), DEADLINE, |open| !*open));
    }
}
