//! Track's clients, as its documentation has them: real `curl` commands, of which only the base
//! URL and the token are ours.

use std::process::Command;

use serde_json::Value;

use super::Relay;

/// Who asks, by token.
pub struct Curl {
    base: String,
    user: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub body: String,
}

impl Answered {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }
}

impl Curl {
    /// As the owner of this token; `relay.token()` where there are no users.
    pub fn with_token(relay: &Relay, token: &str) -> Curl {
        Curl { user: Some(format!("{token}:api_token")), ..Curl::without_token(relay) }
    }

    pub fn without_token(relay: &Relay) -> Curl {
        Curl { base: format!("http://{}/webhooks/api/v1", relay.tcp()), user: None }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answered {
        self.ask("GET", path, None)
    }

    /// With a body, if there is one.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Answered {
        let url = format!("{}{path}", self.base);
        let mut words = vec!["-X", method, url.as_str(), "-H", "User-Agent: ana@example.test"];
        if let Some(body) = body {
            words.extend(["-H", "Content-Type: application/json", "-d", body]);
        }
        if let Some(user) = &self.user {
            words.extend(["-u", user]);
        }
        curl(&words)
    }
}

/// Opens a URL, as anybody can who knows it.
#[track_caller]
pub fn open(url: &str) -> Answered {
    curl(&[url])
}

/// Runs curl as it is installed. A machine without it cannot show this, and is told so.
#[track_caller]
fn curl(words: &[&str]) -> Answered {
    let told = ["-sS", "--max-time", "20", "--noproxy", "*", "-w", "\n%{http_code}"];
    let output = Command::new("curl").args(told).args(words).output();
    let output = output.expect("these tests replay commands of Track's documentation: install curl");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    Answered { status: status.parse().unwrap(), body: body.to_owned() }
}
