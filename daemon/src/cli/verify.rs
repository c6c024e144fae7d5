//! `trackrelay verify`: whether a body has the signature it is said to have and, if not,
//! which mistake would explain that. Needs no daemon; the search is `sign/mistake.rs`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::config::Secret;
use crate::sign::mistake::{Claim, Verdict, examine};

/// The largest body that can be configured; what is larger is no webhook.
const LARGEST: u64 = 64 << 20;

/// Check a body's signature, and say what is wrong with it
///
/// FILE holds the body as it was received, byte for byte; `-` is standard input. Without
/// `--id` and `--timestamp` the signature is Track's, the value of X-Webhook-Signature-256.
/// If it does not fit, the usual mistakes are tried: a body that was parsed and written
/// again, line breaks, another encoding of secret or signature.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trackrelay verify body.json --secret PGuRrhCFajIyEvFlreKL --signature sha256=bf82…
  trackrelay verify body.json --secret \"$(trackrelay secret show a)\" --signature sha256=bf82…
  trackrelay verify - --secret-file a.key --signature v1,g0hM… --id 42 --timestamp 1614265330")]
pub struct Args {
    /// The body, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The secret's text
    #[arg(long, value_name = "TEXT", required_unless_present = "secret_file")]
    secret: Option<String>,

    /// A file with the secret; one line break at its end does not count
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    secret_file: Option<PathBuf>,

    /// The signature header's value
    #[arg(long, value_name = "VALUE")]
    signature: String,

    /// Value of `webhook-id`: the signature is one of Standard Webhooks
    #[arg(long, value_name = "ID", requires = "timestamp")]
    id: Option<String>,

    /// Value of `webhook-timestamp`
    #[arg(long, value_name = "SECONDS", requires = "id")]
    timestamp: Option<String>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let body = read(&args.file)?;
    let secret = Secret::new(secret(&args)?);
    if secret.reveal().is_empty() {
        return Err(Failure::failed("the secret is empty; with an empty secret anybody can sign"));
    }
    let standard = args.id.as_deref().zip(args.timestamp.as_deref());
    let verdict = examine(&Claim { body: &body, secret: &secret, signature: &args.signature, standard });
    if args.json {
        let mistakes: &[&str] = if let Verdict::Mistaken(mistakes) = &verdict { mistakes } else { &[] };
        let scheme = if standard.is_some() { "standard-webhooks" } else { "track" };
        let verified = verdict == Verdict::Right;
        output::document(&json!({ "verified": verified, "scheme": scheme, "mistakes": mistakes }))?;
    }
    match verdict {
        Verdict::Right if args.json => Ok(()),
        Verdict::Right => output::facts(&format!("verified: {} bytes have this signature", body.len())),
        wrong => Err(Failure::failed(told(&wrong))),
    }
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Right => "verified".to_owned(),
        Verdict::Unreadable(why) => format!("not verified: {why}"),
        Verdict::Mistaken(mistakes) => {
            format!("not verified as it stands, but this explains it:\n  - {}", mistakes.join("\n  - "))
        }
        Verdict::Unexplained => "not verified, and no usual mistake explains it: the secret is another one (one that \
                                 was rotated, or another subscription's), or the body is not the one that was signed"
            .to_owned(),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let name = file.display();
    let input: Box<dyn Read> = match file.as_os_str() == "-" {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(file).with_context(|| format!("cannot read `{name}`"))?),
    };
    let mut bytes = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read `{name}`"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(anyhow!("`{name}` is larger than 64 MiB, which is more than any webhook's body").into());
    }
    Ok(bytes)
}

fn secret(args: &Args) -> Result<String, Failure> {
    let Some(file) = &args.secret_file else { return Ok(args.secret.clone().unwrap_or_default()) };
    let text =
        String::from_utf8(read(file)?).map_err(|_| anyhow!("`{}` is not UTF-8 text", file.display()))?;
    let line = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    Ok(line.unwrap_or(&text).to_owned())
}
