//! What the standard variables of OpenTelemetry ask for. The libraries read them by themselves
//! and pass over in silence what they cannot read, so each is looked at here before: a mistake
//! keeps the daemon from starting, as one in the config does. Pure.

use std::str::FromStr;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use url::Url;

use super::BadVariable;
use crate::runtime::Env;

/// Milliseconds and counts are defaults of the specification.
const TIMEOUT: u64 = 10_000;
const DELAY: u64 = 5_000;
const BATCH: u64 = 512;
const QUEUE: u64 = 2_048;

/// The collector of all signals: the path of each goes behind its own.
const FOR_ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The attribute that names who tells.
pub(super) const SERVICE_NAME: &str = "service.name";

/// The port of OTLP over gRPC, which is taken for that of HTTP again and again.
const GRPC_PORT: u16 = 4317;

#[derive(Debug)]
pub(super) struct Settings {
    /// Which variable names the collector.
    pub(super) endpoint: &'static str,
    /// Where spans are posted.
    pub(super) url: Url,
    /// Who tells: the attributes of the variables.
    pub(super) resource: Vec<(String, String)>,
    /// The collector for people: scheme, host and port.
    pub(super) place: String,
    /// What may help if nobody answers there.
    pub(super) hint: &'static str,
    pub(super) form: Form,
    pub(super) timeout: Duration,
    /// How long the first span of a batch waits for others.
    pub(super) delay: Duration,
    /// Spans of one request.
    pub(super) batch: usize,
    /// Spans that wait for their request.
    pub(super) queue: usize,
    pub(super) sampler: Sampler,
}

/// How spans are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Protobuf,
    Json,
}

impl Settings {
    pub(super) fn read(endpoint: &'static str, env: Env<'_>) -> Result<Settings, BadVariable> {
        let env = &|name: &str| env(name).filter(|value| !value.is_empty());
        exporter(env)?;
        let url = collector(endpoint, &env(endpoint).unwrap_or_default())?;
        nothing_unknown(env)?;
        headers(env)?;
        let time = |found: Result<u64, BadVariable>| found.map(Duration::from_millis);
        let count = |name, default, most| number(name, default, 1..=most, env).map(|count| count as usize);
        Ok(Settings {
            endpoint,
            resource: resource(env)?,
            place: url.origin().ascii_serialization(),
            hint: if url.port() == Some(GRPC_PORT) {
                "; 4317 is the port for gRPC, which this does not speak: for HTTP it is 4318"
            } else {
                ""
            },
            form: form(env)?,
            timeout: time(number(for_traces("TIMEOUT", env), TIMEOUT, 1..=600_000, env))?,
            delay: time(number("OTEL_BSP_SCHEDULE_DELAY".into(), DELAY, 0..=600_000, env))?,
            batch: count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE".into(), BATCH, 8 * BATCH)?,
            queue: count("OTEL_BSP_MAX_QUEUE_SIZE".into(), QUEUE, 32 * QUEUE)?,
            sampler: sampler(env)?,
            url,
        })
    }
}

fn bad(variable: impl Into<String>, wrong: impl Into<String>) -> BadVariable {
    BadVariable { variable: variable.into(), wrong: wrong.into() }
}

/// A variable of the exporter: the one for traces, where that is set, before the one for all.
fn for_traces(what: &str, env: Env<'_>) -> String {
    let own = format!("OTEL_EXPORTER_OTLP_TRACES_{what}");
    if env(&own).is_some() { own } else { format!("OTEL_EXPORTER_OTLP_{what}") }
}

fn exporter(env: Env<'_>) -> Result<(), BadVariable> {
    match env("OTEL_TRACES_EXPORTER") {
        Some(other) if other.trim() != "otlp" => {
            Err(bad("OTEL_TRACES_EXPORTER", format!("there is no exporter `{other}`; there are otlp, none")))
        }
        _ => Ok(()),
    }
}

fn collector(variable: &str, value: &str) -> Result<Url, BadVariable> {
    // A value with a password is not repeated.
    let like = "write it like `http://localhost:4318`";
    let mut url =
        Url::parse(value).map_err(|error| bad(variable, format!("it is no URL ({error}); {like}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad(variable, format!("it is no URL of HTTP; {like}")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let way_out = "say it by `OTEL_EXPORTER_OTLP_HEADERS=authorization=Basic%20…`";
        return Err(bad(variable, format!("it holds a user name or password; {way_out}")));
    }
    if variable == FOR_ALL
        && let Ok(mut path) = url.path_segments_mut()
    {
        path.pop_if_empty().extend(["v1", "traces"]);
    }
    Ok(url)
}

/// What other programs do when these are set, and this one does not.
fn nothing_unknown(env: Env<'_>) -> Result<(), BadVariable> {
    let compression = for_traces("COMPRESSION", env);
    if env(&compression).is_some_and(|value| !value.eq_ignore_ascii_case("none")) {
        return Err(bad(compression, "spans are sent uncompressed; unset it or say `none`"));
    }
    let certificate = for_traces("CERTIFICATE", env);
    if env(&certificate).is_some() {
        return Err(bad(certificate, "it is not read; `SSL_CERT_FILE` names further authorities"));
    }
    for what in ["CLIENT_CERTIFICATE", "CLIENT_KEY"] {
        let variable = for_traces(what, env);
        if env(&variable).is_some() {
            return Err(bad(variable, "certificates of a client are not supported; unset it"));
        }
    }
    Ok(())
}

fn form(env: Env<'_>) -> Result<Form, BadVariable> {
    let variable = for_traces("PROTOCOL", env);
    match env(&variable).map(|value| value.to_ascii_lowercase()).as_deref() {
        None | Some("http/protobuf") => Ok(Form::Protobuf),
        Some("http/json") => Ok(Form::Json),
        Some("grpc") => Err(bad(
            variable,
            "gRPC is not spoken; say `http/protobuf` and name the port for it, mostly 4318",
        )),
        Some(other) => {
            Err(bad(variable, format!("there is no protocol `{other}`; there are http/protobuf, http/json")))
        }
    }
}

/// Headers by which a request says what it is: with another value it would arrive as something else.
const OWN_HEADERS: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Headers mostly hold keys, so a wrong one is told by its place.
fn headers(env: Env<'_>) -> Result<(), BadVariable> {
    let variable = for_traces("HEADERS", env);
    let value = env(&variable).unwrap_or_default();
    let is_header = |entry: &str| {
        let (name, value) = entry.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok().filter(|value| !value.is_empty())?;
        HeaderName::from_str(name.trim()).ok().zip(HeaderValue::from_str(&value).ok())
    };
    for (at, entry) in value.split_terminator(',').enumerate() {
        let wrong = match is_header(entry) {
            None => format!(
                "entry {} is no header; write `name=value`, with commas between and odd bytes as `%20`",
                at + 1
            ),
            Some((name, _)) if OWN_HEADERS.contains(&name.as_str()) => {
                format!("`{name}` is for the request itself to say; leave it out")
            }
            Some(_) => continue,
        };
        return Err(bad(variable, wrong));
    }
    Ok(())
}

/// The libraries leave what stands here as it is, where the specification has it decoded.
fn resource(env: Env<'_>) -> Result<Vec<(String, String)>, BadVariable> {
    let variable = "OTEL_RESOURCE_ATTRIBUTES";
    let decoded = |text: &str| Some(percent_decode_str(text.trim()).decode_utf8().ok()?.into_owned());
    let attribute = |entry: &str| {
        let (key, value) = entry.split_once('=')?;
        Some((decoded(key).filter(|key| !key.is_empty())?, decoded(value)?))
    };
    let wrong = |entry: &str| {
        let way_out = "write `key=value`, with commas between and odd characters as `%2C`";
        bad(variable, format!("`{entry}` is no attribute; {way_out}"))
    };
    let value = env(variable).unwrap_or_default();
    let each = value.split_terminator(',').map(|entry| attribute(entry).ok_or_else(|| wrong(entry)));
    let name = env("OTEL_SERVICE_NAME").map(|name| Ok((SERVICE_NAME.to_owned(), name)));
    each.chain(name).collect()
}

fn number(
    variable: String,
    default: u64,
    bounds: std::ops::RangeInclusive<u64>,
    env: Env<'_>,
) -> Result<u64, BadVariable> {
    let Some(value) = env(&variable) else { return Ok(default) };
    value.trim().parse().ok().filter(|number| bounds.contains(number)).ok_or_else(|| {
        let (least, most) = (bounds.start(), bounds.end());
        bad(variable, format!("`{value}` is no whole number from {least} to {most}"))
    })
}

fn sampler(env: Env<'_>) -> Result<Sampler, BadVariable> {
    let variable = "OTEL_TRACES_SAMPLER";
    let Some(value) = env(variable) else { return Ok(Sampler::AlwaysOn) };
    // Events have no parent, so what is based on one comes to the same.
    match value.trim_start_matches("parentbased_") {
        "always_on" => Ok(Sampler::AlwaysOn),
        "always_off" => Ok(Sampler::AlwaysOff),
        "traceidratio" => ratio(env).map(Sampler::TraceIdRatioBased),
        _ => Err(bad(
            variable,
            format!("there is no sampler `{value}`; there are always_on, always_off, traceidratio"),
        )),
    }
}

fn ratio(env: Env<'_>) -> Result<f64, BadVariable> {
    let variable = "OTEL_TRACES_SAMPLER_ARG";
    let value = env(variable).unwrap_or_else(|| "1".into());
    let ratio = value.trim().parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| bad(variable, format!("`{value}` is no share from 0 to 1, such as 0.25")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Settings, String> {
        let at = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        let find = |name: &str| set.iter().chain([&at]).find(|(known, _)| *known == name);
        let env = |name: &str| find(name).map(|(_, value)| (*value).to_owned());
        Settings::read("OTEL_EXPORTER_OTLP_ENDPOINT", &env).map_err(|error| error.to_string())
    }

    #[test]
    fn the_rest_is_as_specified() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.place.as_str(), settings.hint), ("http://localhost:4318", ""));
        assert_eq!((settings.form, settings.timeout), (Form::Protobuf, Duration::from_secs(10)));
        assert_eq!((settings.delay, settings.batch, settings.queue), (Duration::from_secs(5), 512, 2048));
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317/x?key=7"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20YTpi, x-team = a"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,b=, of%2Cus = caf%C3%A9%2C%20100% "),
            ("OTEL_SERVICE_NAME", "a%20b"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ])
        .unwrap();
        assert_eq!((settings.form, settings.timeout), (Form::Json, Duration::from_millis(250)));
        assert_eq!(settings.place, "http://127.0.0.1:4317");
        assert_eq!(settings.url.as_str(), "http://127.0.0.1:4317/x/v1/traces?key=7");
        let resource: Vec<_> = settings.resource.iter().map(|(key, value)| (&**key, &**value)).collect();
        let wanted = [("service.name", "a"), ("b", ""), ("of,us", "café, 100%"), ("service.name", "a%20b")];
        assert_eq!(resource, wanted, "the last of a name counts");
        assert!(settings.hint.contains("4318"));
        assert!(matches!(settings.sampler, Sampler::TraceIdRatioBased(share) if share == 0.25));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_the_way_out_and_no_key_is_repeated() {
        let table = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost", "it is no URL"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "it is no URL of HTTP; write it like `http://"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:s3cret@b", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "say `http/protobuf`"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http", "there is no protocol `http`"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,s3cret", "entry 2 is no header"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,Content-Length=3", "`content-length` is for the request"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=s3cret", "entry 1 is no header"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "say `none`"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/a", "SSL_CERT_FILE"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/a", "unset it"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "`10s` is no whole number from 1 to 600000"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "from 1 to 65536"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c", "`c` is no attribute"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff", "`a=%ff` is no attribute"),
            ("OTEL_TRACES_EXPORTER", "console", "there are otlp, none"),
            ("OTEL_TRACES_SAMPLER", "xray", "there are always_on"),
        ];
        for (variable, value, said) in table {
            let error = read(&[(variable, value)]).unwrap_err();
            assert!(error.starts_with(&format!("{variable}: ")) && error.contains(said), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        let error = read(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")]);
        assert!(error.unwrap_err().starts_with("OTEL_TRACES_SAMPLER_ARG: `2` is no share"));
    }
}
