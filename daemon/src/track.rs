//! Track's own words: every text with which its Webhooks API refuses, letter for letter, and
//! the HTTP status that comes along. What they are said about is decided elsewhere: by the
//! config's check, by the PING, by the API.

use std::fmt;

use hyper::StatusCode;

/// A refusal that Track documents, but for one that it leaves out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("User not found/accessible for workspace")]
    NoAccess,
    #[error("subscription {subscription} for workspace {workspace} was not found")]
    NoSubscription { subscription: String, workspace: String },
    #[error("Internal Server Error")]
    Internal,
    #[error("URL endpoint {url} responded with status {status} instead of {wanted}")]
    Answered { url: String, status: u16, wanted: Wanted },
    #[error("URL endpoint {url} request failed with error: {error}")]
    Failed { url: String, error: String },
    #[error(
        "User {user} already reached the limit of {limit} enabled subscriptions for workspace {workspace}"
    )]
    TooManySubscriptions { user: i64, limit: usize, workspace: i64 },
    #[error("Subscription description must not be empty")]
    NoDescription,
    #[error("Subscription description '{description}' is already in use for workspace {workspace}")]
    DescriptionTaken { description: String, workspace: i64 },
    #[error("The list of event filters must not be empty")]
    NoFilters,
    #[error(
        "The limit of {limit} event filters for your subscription has been exceeded as you're trying to set {count} filters"
    )]
    TooManyFilters { limit: usize, count: usize },
    #[error("The following event filter appears more than once for your subscription: {filter}")]
    FilterTwice { filter: String },
    #[error("The {0} field for each subscription event filter must be non-empty")]
    EmptyHalf(Half),
    #[error("The value '{value}' for the filter {half} can only contain letters, numbers and '_' or be '*' to match all {}", .half.all())]
    OddHalf { half: Half, value: String },
    #[error("Invalid value '{0}' for event filter action")]
    UnknownAction(String),
    /// Not documented: no text for this exists.
    #[error("Invalid value '{entity}' for event filter entity; it must be one of {known} or '*'")]
    UnknownEntity { entity: String, known: String },
    #[error(
        "subscription {subscription} for workspace {workspace} and validation code '{code}' was not found"
    )]
    NoCode { subscription: String, workspace: String, code: String },
    #[error("subscription {0} has already been validated")]
    ValidatedBefore(String),
}

impl Refused {
    pub fn status(&self) -> StatusCode {
        match self {
            Refused::NoAccess => StatusCode::FORBIDDEN,
            Refused::NoSubscription { .. } => StatusCode::NOT_FOUND,
            Refused::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// What Track says it wanted of a callback. Its texts are of two minds, by the call that is
/// refused; any 2xx was fine in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// In answers to POST and PATCH.
    Exactly200,
    /// In answers to PUT, and wherever the words are ours to choose.
    Any2xx,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wanted::Exactly200 => "200",
            Wanted::Any2xx => "2xx",
        })
    }
}

/// Half of an event filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Entity,
    Action,
}

impl Half {
    fn all(self) -> &'static str {
        match self {
            Half::Entity => "entities",
            Half::Action => "actions",
        }
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Half::Entity => "entity",
            Half::Action => "action",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every documented text, written out: whoever changes one changes it here as well.
    #[test]
    fn every_documented_text_is_there_letter_for_letter() {
        let text = |text: &str| text.to_owned();
        let url = || text("https://hooks.example.test/a");
        let (subscription, workspace) = (text("20011"), text("4200017"));
        let table = [
            (403, Refused::NoAccess, "User not found/accessible for workspace"),
            (
                404,
                Refused::NoSubscription { subscription: subscription.clone(), workspace: workspace.clone() },
                "subscription 20011 for workspace 4200017 was not found",
            ),
            (500, Refused::Internal, "Internal Server Error"),
            (
                400,
                Refused::Answered { url: url(), status: 503, wanted: Wanted::Exactly200 },
                "URL endpoint https://hooks.example.test/a responded with status 503 instead of 200",
            ),
            (
                400,
                Refused::Answered { url: url(), status: 301, wanted: Wanted::Any2xx },
                "URL endpoint https://hooks.example.test/a responded with status 301 instead of 2xx",
            ),
            (
                400,
                Refused::Failed { url: url(), error: text("connection refused") },
                "URL endpoint https://hooks.example.test/a request failed with error: connection refused",
            ),
            (
                400,
                Refused::TooManySubscriptions { user: 5_300_029, limit: 5, workspace: 4_200_017 },
                "User 5300029 already reached the limit of 5 enabled subscriptions for workspace 4200017",
            ),
            (400, Refused::NoDescription, "Subscription description must not be empty"),
            (
                400,
                Refused::DescriptionTaken { description: text("a b"), workspace: 4_200_017 },
                "Subscription description 'a b' is already in use for workspace 4200017",
            ),
            (400, Refused::NoFilters, "The list of event filters must not be empty"),
            (
                400,
                Refused::TooManyFilters { limit: 3, count: 4 },
                "The limit of 3 event filters for your subscription has been exceeded as you're trying to set 4 filters",
            ),
            (
                400,
                Refused::FilterTwice { filter: text("tag.created") },
                "The following event filter appears more than once for your subscription: tag.created",
            ),
            (
                400,
                Refused::EmptyHalf(Half::Entity),
                "The entity field for each subscription event filter must be non-empty",
            ),
            (
                400,
                Refused::EmptyHalf(Half::Action),
                "The action field for each subscription event filter must be non-empty",
            ),
            (
                400,
                Refused::OddHalf { half: Half::Entity, value: text("ta-g") },
                "The value 'ta-g' for the filter entity can only contain letters, numbers and '_' or be '*' to match all entities",
            ),
            (
                400,
                Refused::OddHalf { half: Half::Action, value: text("**") },
                "The value '**' for the filter action can only contain letters, numbers and '_' or be '*' to match all actions",
            ),
            (400, Refused::UnknownAction(text("started")), "Invalid value 'started' for event filter action"),
            (
                400,
                Refused::NoCode { subscription: subscription.clone(), workspace, code: text("0f") },
                "subscription 20011 for workspace 4200017 and validation code '0f' was not found",
            ),
            (400, Refused::ValidatedBefore(subscription), "subscription 20011 has already been validated"),
        ];
        for (status, refused, said) in table {
            assert_eq!((refused.status().as_u16(), refused.to_string().as_str()), (status, said));
        }
    }
}
