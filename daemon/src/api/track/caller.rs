//! Who asks: Track's Basic auth with a user's token, or the owner of the machine over the Unix
//! socket. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

use crate::config::{Config, Role, Subscription};
use crate::server::{Peer, Token, same_text};

/// What Track wants as the password beside a token.
const PASSWORD: &str = "api_token";

/// Somebody who may use the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The name of their `[user.*]` table.
    pub(super) user: Option<String>,
    pub(super) id: i64,
    pub(super) role: Role,
}

impl Caller {
    /// A token decides, wherever it comes from; without one the Unix socket makes an admin.
    /// Where no users are configured the store's own token is the admin's.
    pub(super) fn of(
        peer: Peer,
        authorization: Option<&HeaderValue>,
        config: &Config,
        admin: &Token,
    ) -> Option<Caller> {
        match authorization {
            None => (peer == Peer::Unix).then(|| Caller::owner(config)),
            Some(header) => Caller::with_token(&token_of(header)?, config, admin),
        }
    }

    /// Whether this subscription is theirs to see and to change.
    pub(super) fn may_see(&self, subscription: &Subscription) -> bool {
        self.role == Role::Admin || subscription.creator.user_id == self.id
    }

    /// The only admin, if there is just one: their subscriptions are the ones that name nobody.
    fn owner(config: &Config) -> Caller {
        let mut admins = config.users.iter().filter(|user| user.role == Role::Admin);
        let only = admins.next().filter(|_| admins.next().is_none());
        Caller {
            user: only.map(|user| user.name.clone()),
            id: only.map_or(0, |user| user.id),
            role: Role::Admin,
        }
    }

    /// Compares with every token there is, so that how long it takes tells nothing.
    fn with_token(given: &str, config: &Config, admin: &Token) -> Option<Caller> {
        if config.users.is_empty() {
            return admin.is(given).then(|| Caller::owner(config));
        }
        config.users.iter().fold(None, |found, user| {
            let same = user.api_token.as_ref().is_some_and(|token| same_text(token.reveal(), given));
            let caller = || Caller { user: Some(user.name.clone()), id: user.id, role: user.role };
            if same { Some(caller()) } else { found }
        })
    }
}

fn token_of(header: &HeaderValue) -> Option<String> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    let (token, password) = text.split_once(':')?;
    (password == PASSWORD && !token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Creator, Secret, User, fixture};

    fn user(name: &str, id: i64, role: Role, token: Option<&str>) -> User {
        User { name: name.into(), id, role, api_token: token.map(|token| Secret::new(token.into())) }
    }

    fn basic(text: &str) -> HeaderValue {
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(text))).unwrap()
    }

    /// The store's token, and a folder that it lives in.
    fn store() -> (Token, String, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::in_store(folder.path()).unwrap();
        let text = std::fs::read_to_string(token.path()).unwrap().trim().to_owned();
        (token, text, folder)
    }

    #[test]
    fn a_users_token_says_who_it_is_and_nothing_else_does() {
        let (admin, stored, _folder) = store();
        let mut config = fixture::config(Vec::new());
        config.users = vec![
            user("ana", 1, Role::Admin, Some("token-a")),
            user("ben", 2, Role::Member, Some("token-b")),
            user("cy", 3, Role::Member, None),
        ];
        let of = |peer, header: Option<HeaderValue>| Caller::of(peer, header.as_ref(), &config, &admin);
        let ben = Caller { user: Some("ben".into()), id: 2, role: Role::Member };
        assert_eq!(of(Peer::Tcp, Some(basic("token-b:api_token"))), Some(ben.clone()));
        assert_eq!(of(Peer::Unix, Some(basic("token-b:api_token"))), Some(ben), "a token decides");
        assert_eq!(of(Peer::Unix, None).map(|owner| (owner.id, owner.role)), Some((1, Role::Admin)));
        let wrong = [
            "token-b:",
            "token-b:api_token ",
            "token-b:API_TOKEN",
            ":api_token",
            "token-c:api_token",
            "token-b",
            "token:api_token",
            "",
            "ben:api_token",
        ];
        let stored = format!("{stored}:api_token");
        for wrong in wrong.into_iter().chain([stored.as_str()]) {
            assert_eq!(of(Peer::Tcp, Some(basic(wrong))), None, "{wrong}");
            assert_eq!(of(Peer::Unix, Some(basic(wrong))), None, "{wrong}");
        }
        for header in ["Bearer token-a", "Basic token-a", "Basic", "Basic \u{7f}"] {
            assert_eq!(
                of(Peer::Tcp, HeaderValue::from_str(header).ok().or(Some(basic("")))),
                None,
                "{header}"
            );
        }
        assert_eq!(of(Peer::Tcp, None), None);
    }

    #[test]
    fn without_users_the_stores_token_is_the_admins() {
        let (admin, token, _folder) = store();
        let config = fixture::config(Vec::new());
        let owner = Caller { user: None, id: 0, role: Role::Admin };
        let header = basic(&format!("{token}:api_token"));
        assert_eq!(Caller::of(Peer::Tcp, Some(&header), &config, &admin), Some(owner));
        assert_eq!(Caller::of(Peer::Tcp, Some(&basic("x:api_token")), &config, &admin), None);
    }

    #[test]
    fn a_member_sees_only_own_subscriptions() {
        let of = |user_id| crate::config::Subscription {
            creator: Creator { user_id, role: Role::Member },
            ..fixture::subscription("a")
        };
        let caller = |role| Caller { user: None, id: 2, role };
        assert!(caller(Role::Member).may_see(&of(2)) && !caller(Role::Member).may_see(&of(1)));
        assert!(caller(Role::Admin).may_see(&of(1)));
    }
}
