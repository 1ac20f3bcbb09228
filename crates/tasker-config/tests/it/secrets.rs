//! No secret leaves by a report, by `Debug` or by what is shown, wherever somebody put it.

use tasker_config::{Config, Kind, options};

const SECRET: &str = "hunter2hunter2";

/// Everything that a configuration, or its report, says of itself.
fn said(built: Result<Config, tasker_config::ConfigReport>) -> String {
    match built {
        Err(report) => format!("{report} {report:?} {}", serde_json::to_string(&report).unwrap()),
        Ok(config) => {
            let shown = config.show();
            let lines: Vec<String> = shown.iter().map(ToString::to_string).collect();
            format!(
                "{config:?} {:?} {:?} {lines:?} {}",
                config.auth(),
                config.database(),
                serde_json::to_string(&shown).unwrap()
            )
        }
    }
}

const PLACES: &str = "
[auth]
authentication_enabled = true
authenticator = \"jwt\"
[auth.authenticator_options]
issuer = \"us\"
secret = { env = \"A\" }
previous_secrets = [{ env = \"B\" }]
[auth.authenticator_options.oidc]
client_secret = { env = \"A\" }
plain = { env = \"B\" }
[database.databases.primary]
url = { env = \"URL\" }
[database.databases.other]
url_file = \"FILE\"
";

#[test]
fn secrets_of_variables_and_files_reach_their_reader_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    std::fs::write(&file, format!("postgres://ann:{SECRET}@db/two\n")).unwrap();
    let url = format!("postgres://ann:{SECRET}@db/one");
    let config = Config::builder()
        .toml("t", PLACES.replace("FILE", file.to_str().unwrap()))
        .variables([("A", SECRET), ("B", SECRET), ("URL", url.as_str())])
        .variables([("TASKER_AUTH__AUTHENTICATOR_OPTIONS__KEY", SECRET)])
        .build()
        .unwrap();
    let options = &config.auth().authenticator_options;
    for pointer in ["/secret", "/previous_secrets/0", "/oidc/client_secret", "/oidc/plain", "/key"] {
        assert_eq!(options.pointer(pointer).and_then(|v| v.as_str()), Some(SECRET), "{pointer}");
    }
    for (name, database) in [("primary", "one"), ("other", "two")] {
        let source = config.database().databases[name].url.as_ref().unwrap();
        assert_eq!(source.read().unwrap().expose(), format!("postgres://ann:{SECRET}@db/{database}"));
    }
    let said = said(Ok(config));
    assert!(!said.contains(SECRET), "{said}");
    assert!(said.contains("postgres://ann@db/one") && said.contains("[redacted]"), "{said}");
}

#[test]
fn a_secret_in_the_file_itself_is_refused_and_not_quoted() {
    for text in [
        format!("[auth.authenticator_options]\nsecret = \"{SECRET}\""),
        format!("[auth.authenticator_options]\nprevious_secrets = [\"{SECRET}\"]"),
        format!("[auth.authenticator_options]\nclient = {{ password = \"{SECRET}\" }}"),
        format!("[database.databases.primary]\nurl = \"postgres://ann:{SECRET}@db/app\""),
        format!("[database.databases.primary]\nurl = \"postgres://ann@db/app?password={SECRET}\""),
        format!("[database.databases.primary]\nurl = \"postgres://ann:{SECRET} @db/app\""),
        format!("[database.databases]\nprimary = \"postgres://ann:{SECRET}@db/app\""),
        format!("[telemetry.prometheus]\npassword = \"{SECRET}\""),
        format!("[auth]\nauthenticator_options = \"{SECRET}\""),
        format!("secret = {SECRET}"),
        format!("{SECRET}\n[auth"),
    ] {
        let built = Config::builder().toml("t", text.as_str()).build();
        assert!(built.is_err(), "{text}");
        let said = said(built);
        assert!(!said.contains(SECRET), "{text}\n{said}");
    }
}

/// A password that went to the wrong place comes back in no report: only what fits is ever shown.
#[test]
fn a_secret_in_the_wrong_place_is_not_quoted() {
    for option in options() {
        // What takes any text shows it.
        let takes_text = matches!(option.kind, Kind::Text | Kind::List(Kind::Text) | Kind::Options);
        let key = option.key.replace('*', "primary");
        let variable = format!("TASKER_{}", key.replace('.', "__").to_uppercase());
        let by_variable = Config::builder().variables([(variable.as_str(), SECRET)]).build();
        let by_code = Config::builder().set(&*key, SECRET).build();
        for built in [by_variable, by_code] {
            let said = said(built);
            assert!(takes_text || !said.contains(SECRET), "{key}: {said}");
        }
    }
}

#[test]
fn the_secrets_of_another_environment_need_not_be_here() {
    let text = "[environments.production.database.databases.primary]\nurl = { env = \"NOWHERE\" }\n[environments.test]";
    Config::builder().toml("t", text).environment("test").build().unwrap();
    let report = Config::builder().toml("t", text).environment("production").build().unwrap_err();
    assert_eq!(
        report.mistakes()[0].to_string(),
        "t:2 (environment production): database.databases.primary.url names the variable NOWHERE, which is not set"
    );
}
