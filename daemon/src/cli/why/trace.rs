//! How a trace reads: a line per plugin and line of log, a line for the exchange.

use crate::cli::output::{BAD, GOOD, QUIET, WARN, clean, styled};
use crate::delivery::trace::{Called, Exchange, Level, Line, Trace, Verdict};

/// Everything in it, indented below its attempt. `said` is what the attempt has told already.
pub(super) fn render(trace: &Trace, said: &str) -> String {
    let mut text: String = trace.plugins.iter().map(|call| plugin(call, said)).collect();
    if trace.plugins_cut > 0 {
        text += &format!("    {}\n", styled(QUIET, &format!("and {} more plugins", trace.plugins_cut)));
    }
    if let Some(exchange) = &trace.exchange {
        text += &self::exchange(exchange, said);
    }
    text
}

fn plugin(call: &Called, said: &str) -> String {
    let style = match call.verdict {
        Verdict::Failed => BAD,
        Verdict::Skip => WARN,
        _ => GOOD,
    };
    let mut text = format!(
        "    {} `{}`: {} in {}, {}\n",
        call.stage.as_str(),
        clean(&call.plugin),
        styled(style, call.verdict.as_str()),
        time(call.took_us),
        memory(call.memory)
    );
    if let Some(reason) = call.reason.as_deref().filter(|reason| !said.contains(*reason)) {
        text += &format!("      {}\n", clean(reason));
    }
    if call.lines_cut > 0 {
        let cut = format!("{} earlier lines of log were not kept", call.lines_cut);
        text += &format!("      {}\n", styled(QUIET, &cut));
    }
    call.lines.iter().for_each(|line| text += &logged(line));
    text
}

fn logged(line: &Line) -> String {
    let style = match line.level {
        Level::Error => BAD,
        Level::Warn => WARN,
        _ => QUIET,
    };
    format!("      {}  {}\n", styled(style, &format!("{:5}", line.level.as_str())), clean(&line.text))
}

fn exchange(exchange: &Exchange, said: &str) -> String {
    let part = |name: &str, us: Option<u64>| us.map(|us| format!("{name} {}", time(us)));
    let parts = [
        exchange.reused.then(|| "kept connection".to_owned()),
        part("DNS", exchange.dns_us),
        part("connect", exchange.connect_us),
        part("TLS", exchange.tls_us),
        part("first byte", exchange.first_byte_us),
        part("total", Some(exchange.total_us)),
    ];
    let address = exchange.address.map_or("no address".to_owned(), |address| address.to_string());
    let http = exchange.http.map(|http| format!(" {}", http.as_str())).unwrap_or_default();
    let parts = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut text = format!("    {address}{http}: {parts}\n");
    if let Some(excerpt) = exchange.excerpt.as_deref().filter(|excerpt| !said.contains(*excerpt)) {
        text += &format!("    it said: {}\n", clean(excerpt));
    }
    text
}

/// `38 µs`, `1.2 ms`, `3.4 s`.
fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

fn memory(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_short() {
        let times = [1, 999, 1_000, 12_345, 999_949, 1_000_000, 61_000_000].map(time);
        assert_eq!(times, ["1 µs", "999 µs", "1.0 ms", "12.3 ms", "999.9 ms", "1.0 s", "61.0 s"]);
        assert_eq!([0, 65_536, 1_179_648].map(memory), ["0 KiB", "64 KiB", "1.1 MiB"]);
    }
}
