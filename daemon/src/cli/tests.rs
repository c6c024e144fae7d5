//! What holds for all commands.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_help_has_an_example() {
    let mut seen = 0;
    let mut commands = vec![Cli::command()];
    while let Some(mut command) = commands.pop() {
        commands.extend(command.get_subcommands().cloned());
        let help = command.render_long_help().to_string();
        assert!(help.contains("Examples:\n  "), "{}", command.get_name());
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let broken = after.lines().find(|line| line.chars().count() > WIDTH);
        assert_eq!(broken, None, "an example that is wrapped cannot be copied");
        seen += 1;
    }
    assert!(seen > 26, "found only {seen} of trackrelay itself, its commands and theirs");
}

#[test]
fn help_tells_a_default_only_where_it_holds() {
    let help = |name: &str| Cli::command().find_subcommand_mut(name).unwrap().render_long_help().to_string();
    assert!(help("events").contains("The last 20 unless `--last` says otherwise"));
    assert!(!help("record").contains("default: 20"));
}

#[test]
fn without_a_command_the_daemon_runs() {
    let cli = parse("trackrelay --config a.toml").unwrap();
    assert_eq!(cli.config, Some("a.toml".into()));
    assert!(matches!(command(cli.logging, cli.command), Ok(Command::Run(_))));
}

#[test]
fn the_log_can_be_chosen_with_and_without_the_word_run() {
    for line in [
        "trackrelay --log debug --log-format json",
        "trackrelay run --log debug --log-format json",
        "trackrelay --log-format json run --log debug",
        "trackrelay --log info --log-format json run --log debug",
    ] {
        let cli = parse(line).unwrap();
        let Ok(Command::Run(args)) = command(cli.logging, cli.command) else { panic!("{line}: not `run`") };
        assert_eq!(args.logging.log.as_deref(), Some("debug"), "{line}");
        assert_eq!(args.logging.log_format, Some(crate::telemetry::LogFormat::Json), "{line}");
    }
    let cli = parse("trackrelay --log debug status").unwrap();
    assert_eq!(command(cli.logging, cli.command).unwrap_err().exit_code(), 2);
    assert!(parse("trackrelay status --log debug").is_err());
}

#[test]
fn the_config_can_be_named_before_and_after_the_command() {
    for line in ["trackrelay --config a.toml status", "trackrelay status --config a.toml"] {
        assert_eq!(parse(line).unwrap().config, Some("a.toml".into()), "{line}");
    }
}

#[test]
fn wrong_usage_is_2() {
    for line in [
        "trackrelay statsu",
        "trackrelay status --jsn",
        "trackrelay send",
        "trackrelay send tag.created --count 0",
        "trackrelay send tag.created --set payload",
        "trackrelay send tag.created --count ten",
        "trackrelay send tag.created --rate fast",
        "trackrelay send tag.created --timeout soon",
        "trackrelay why seven",
        "trackrelay replay",
        "trackrelay secret",
        "trackrelay upstream",
        "trackrelay upstream plan --fit enterprise",
        "trackrelay add a --event tag.*",
        "trackrelay add a --url http://x/",
        "trackrelay edit a --set timeout",
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        let said = error.to_string();
        assert!(!said.contains("literal") && !said.contains("invalid digit"), "{line}: {said}");
    }
}

#[test]
fn a_name_is_never_empty() {
    for line in [
        "enable NAME",
        "disable NAME",
        "test NAME",
        "validate NAME",
        "secret show NAME",
        "secret rotate NAME",
        "add NAME --url http://x/ --event tag.*",
        "edit NAME",
        "edit a --rename NAME",
        "rm NAME",
        "why 7 NAME",
        "replay --missed NAME",
        "replay --failed NAME",
        "replay 7 --to NAME",
    ] {
        let words = |name: &'static str| {
            let words = line.split(' ').map(move |word| if word == "NAME" { name } else { word });
            Cli::try_parse_from(std::iter::once("trackrelay").chain(words))
        };
        assert!(words("slack").is_ok(), "{line}");
        assert_eq!(words("").unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn init_takes_a_folder_and_does_not_offer_a_config() {
    let mut cli = Cli::command();
    cli.build();
    let help = |name: &str| cli.find_subcommand(name).unwrap().clone().render_long_help().to_string();
    assert!(help("status").contains("--config"));
    assert!(!help("init").contains("--config <"), "{}", help("init"));
    assert!(parse("trackrelay init --config a.toml").is_ok(), "told what to do instead when it runs");
}
