//! A06–A11 and the attacks on tokens.

use crate::support::{
    Noise, Sent,
    keys::{SigningKey, der, encode, pem},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tasker_auth::{
    AuthError, Identity, Namespaces, Permission, Refusal, Secret, SecretSource,
    jwt::{Algorithm, HmacSigner, JwtAuthenticator, JwtConfig, KeySet, TestToken},
    read_section,
};

const SECRET: &str = "a secret that has sixty-four bytes, as the longest hash asks for!";

fn instant() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn hmac_config() -> JwtConfig {
    JwtConfig {
        issuer: "tasker-test".into(),
        audience: vec!["tasker-api".into()],
        secret: Some(SecretSource::Text(Secret::new(SECRET))),
        ..JwtConfig::default()
    }
}

fn signer(algorithm: Algorithm) -> HmacSigner {
    HmacSigner::new(algorithm, &Secret::new(SECRET)).unwrap()
}

fn test_token() -> TestToken {
    TestToken::of("1").at(instant())
}

async fn present(auth: &JwtAuthenticator, text: &str) -> Result<Identity, AuthError> {
    Sent::get("/").bearer(text).at(instant()).to(auth).await
}

/// An authenticator of a family of public keys, with its key published in a file.
fn public(algorithms: &[Algorithm], keys: &[Value]) -> JwtAuthenticator {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
    let config =
        JwtConfig { algorithms: algorithms.to_vec(), secret: None, jwks_file: Some(file), ..hmac_config() };
    JwtAuthenticator::new(&config).unwrap()
}

fn claims() -> Value {
    Value::Object(test_token().claims())
}

#[tokio::test]
async fn a06_the_defaults_are_hs256_in_authorization() {
    let config: JwtConfig = read_section(&json!({})).unwrap();
    assert_eq!((config.algorithms, config.header.as_str()), (vec![Algorithm::HS256], "authorization"));
    let config =
        JwtConfig { algorithms: vec![Algorithm::HS512], header: "X-API-Token".into(), ..hmac_config() };
    let auth = JwtAuthenticator::new(&config).unwrap();
    let sent =
        Sent::get("/").header("x-api-token", &test_token().sign(&signer(Algorithm::HS512))).at(instant());
    assert_eq!(sent.to(&auth).await.unwrap().subject, "1");
}

/// A07: every mistake, all at once; and every algorithm that there is.
#[test]
fn a07_mistakes_in_the_options() {
    let keys = |config: &JwtConfig| config.problems().into_iter().map(|p| p.key).collect::<Vec<_>>();
    assert_eq!(keys(&hmac_config()), [""; 0]);
    assert_eq!(keys(&JwtConfig::default()), ["issuer", "audience", "secret"]);
    let short = |length: usize, algorithm| JwtConfig {
        algorithms: vec![algorithm],
        secret: Some(SecretSource::Text(Secret::new("x".repeat(length)))),
        ..hmac_config()
    };
    for (algorithm, fewest) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
        assert_eq!(keys(&short(fewest, algorithm)), [""; 0]);
        let problem = &short(fewest - 1, algorithm).problems()[0];
        assert_eq!(
            problem.to_string(),
            format!("secret: must have at least {fewest} bytes for these algorithms")
        );
    }
    let mixed = JwtConfig { algorithms: vec![Algorithm::HS256, Algorithm::RS256], ..hmac_config() };
    assert_eq!(keys(&mixed), ["algorithms"], "a token could choose");
    let both = JwtConfig { jwks_url: Some("https://issuer/".into()), ..hmac_config() };
    assert_eq!(keys(&both), ["algorithms"]);
    let secret_for_rsa = JwtConfig { algorithms: vec![Algorithm::RS256], ..hmac_config() };
    assert_eq!(keys(&secret_for_rsa), ["secret", "jwks_url"]);
    for name in ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"] {
        assert!(serde_json::from_value::<Algorithm>(json!(name)).is_ok(), "{name}");
    }
    for name in ["none", "None", "NONE", "", "HS1", "hs256"] {
        assert!(serde_json::from_value::<Algorithm>(json!(name)).is_err(), "{name}");
    }
}

#[tokio::test]
async fn every_algorithm_verifies_its_own_and_no_other() {
    let (rsa, p256, p384, p521, ed) = (
        SigningKey::rsa(1),
        SigningKey::p256(),
        SigningKey::p384(),
        SigningKey::p521(),
        SigningKey::ed25519(),
    );
    let published = [rsa.jwk("rsa"), p256.jwk("p256"), p384.jwk("p384"), p521.jwk("p521"), ed.jwk("ed")];
    for algorithm in Algorithm::ALL {
        let name = algorithm.to_string();
        let text = match &name[..2] {
            "HS" => test_token().sign(&signer(*algorithm)),
            "RS" | "PS" => rsa.token(&json!({ "alg": name, "kid": "rsa" }), &claims()),
            "ES" if name == "ES256" => p256.token(&json!({ "alg": name, "kid": "p256" }), &claims()),
            "ES" if name == "ES512" => p521.token(&json!({ "alg": name, "kid": "p521" }), &claims()),
            "ES" => p384.token(&json!({ "alg": name, "kid": "p384" }), &claims()),
            _ => ed.token(&json!({ "alg": name, "kid": "ed" }), &claims()),
        };
        for accepted in Algorithm::ALL {
            let auth = if accepted.to_string().starts_with("HS") {
                JwtAuthenticator::new(&JwtConfig { algorithms: vec![*accepted], ..hmac_config() }).unwrap()
            } else {
                public(&[*accepted], &published)
            };
            let known = present(&auth, &text).await;
            if accepted == algorithm {
                assert_eq!(known.unwrap().subject, "1", "{name}");
            } else {
                assert_eq!(known, Err(Refusal::Invalid.into()), "{name} where {accepted} is configured");
            }
        }
    }
}

/// A08: what is refused; A10: that the next good token is not.
#[tokio::test]
async fn a08_what_is_refused_and_that_nothing_stays() {
    let auth = JwtAuthenticator::new(&hmac_config()).unwrap();
    let sign = |token: TestToken| token.sign(&signer(Algorithm::HS256));
    let other =
        HmacSigner::new(Algorithm::HS256, &Secret::new("another secret, long enough for HS256")).unwrap();
    let good = sign(test_token());
    let cases = [
        (sign(test_token().good_for(TimeDelta::seconds(-120))), Refusal::Expired),
        (test_token().sign(&other), Refusal::Invalid),
        (sign(test_token().claim("iss", json!("somebody-else"))), Refusal::Invalid),
        (sign(test_token().claim("iss", json!(["tasker-test"]))), Refusal::Invalid),
        (sign(test_token().claim("aud", json!("another-api"))), Refusal::Audience),
        (sign(test_token().claim("aud", json!(["another-api"]))), Refusal::Audience),
        (sign(test_token().claim("aud", json!({ "tasker-api": 1 }))), Refusal::Audience),
        (sign(test_token().claim("nbf", json!(instant().timestamp() + 120))), Refusal::NotYet),
        (sign(test_token().claim("iat", json!(instant().timestamp() + 120))), Refusal::NotYet),
        (sign(test_token().claim("exp", json!("never"))), Refusal::Invalid),
        (sign(test_token().claim("exp", Value::Null)), Refusal::Invalid),
        (sign(test_token().claim("sub", json!(""))), Refusal::Invalid),
        (sign(test_token().claim("sub", json!("a\nb"))), Refusal::Invalid),
        (sign(test_token().claim("sub", json!(1.5))), Refusal::Invalid),
        ("not.a.token".into(), Refusal::Invalid),
        ("notatoken".into(), Refusal::Invalid),
        (String::new(), Refusal::Invalid),
        (format!("{good}."), Refusal::Invalid),
        (format!("{good}="), Refusal::Invalid),
        (format!("{good}{}", "A".repeat(20_000)), Refusal::Invalid),
    ];
    for (text, refusal) in cases {
        assert_eq!(present(&auth, &text).await, Err(refusal.into()), "{text}");
        assert_eq!(present(&auth, &good).await.unwrap().subject, "1");
    }
    let raw = Sent::get("/").header("authorization", &good).at(instant());
    assert_eq!(raw.to(&auth).await, Err(Refusal::Invalid.into()), "without its scheme");
    let none = Sent::get("/").at(instant()).to(&auth).await;
    assert!(matches!(none, Err(AuthError::Missing { .. })));
}

/// A10: what cannot be decoded is refused and nothing more; users one after the other and mixed with bad tokens
/// are each themselves (D-01).
#[tokio::test]
async fn a10_bad_tokens_are_refusals_and_users_stay_apart() {
    let auth = JwtAuthenticator::new(&hmac_config()).unwrap();
    let bad = [
        String::new(),
        ".".into(),
        "..".into(),
        "....".into(),
        format!("{}..", encode("{")),
        format!("{}.{}.", encode("{}"), encode("[]")),
        format!("{}.{}.AA", encode(r#"{"alg":7}"#), encode("{}")),
        signer(Algorithm::HS256).sign(&serde_json::Map::new()),
    ];
    for subject in ["1", "2", "999", "1"] {
        for text in &bad {
            assert_eq!(present(&auth, text).await, Err(Refusal::Invalid.into()), "{text}");
        }
        let text = TestToken::of(subject).at(instant()).sign(&signer(Algorithm::HS256));
        assert_eq!(present(&auth, &text).await.unwrap().subject, subject);
    }
}

#[tokio::test]
async fn a_token_without_exp_iss_or_aud_is_refused() {
    let auth = JwtAuthenticator::new(&hmac_config()).unwrap();
    for name in ["exp", "iss", "aud", "sub"] {
        let mut claims = test_token().claims();
        claims.remove(name);
        let text = signer(Algorithm::HS256).sign(&claims);
        assert_eq!(present(&auth, &text).await, Err(Refusal::Invalid.into()), "without {name}");
    }
}

/// Clocks may differ by the leeway and not by more.
#[tokio::test]
async fn clock_skew_is_allowed_up_to_the_leeway() {
    let auth = JwtAuthenticator::new(&hmac_config()).unwrap();
    let sign = |name: &str, seconds: i64| {
        test_token().claim(name, json!(instant().timestamp() + seconds)).sign(&signer(Algorithm::HS256))
    };
    for (name, seconds, accepted) in [
        ("exp", -59, true),
        ("exp", -60, false),
        ("nbf", 60, true),
        ("nbf", 61, false),
        ("iat", 60, true),
        ("iat", 61, false),
        ("exp", -300, false),
    ] {
        assert_eq!(present(&auth, &sign(name, seconds)).await.is_ok(), accepted, "{name} {seconds}");
    }
}

/// A09: subject, roles, permissions and namespaces come from the configured claims.
#[tokio::test]
async fn a09_claims_become_an_identity() {
    let config: JwtConfig = read_section(&json!({
        "issuer": "tasker-test", "audience": ["tasker-api"], "secret": SECRET,
        "claims": { "roles": "realm_access.roles", "permissions": "scope", "namespaces": "ns" },
    }))
    .unwrap();
    let auth = JwtAuthenticator::new(&config).unwrap();
    let token = test_token()
        .claim("user_id", json!(999))
        .claim("realm_access", json!({ "roles": ["operator", "admin"] }))
        .claim("scope", json!("openid tasker.task:show nonsense"))
        .claim("ns", json!(["shop"]));
    let who = present(&auth, &token.sign(&signer(Algorithm::HS256))).await.unwrap();
    assert_eq!(who.subject, "999", "`user_id` comes before `sub`");
    assert!(who.roles.contains("admin") && who.roles.len() == 2 && !who.is_admin);
    assert_eq!(who.permissions.iter().collect::<Vec<_>>(), [Permission::TaskShow]);
    assert_eq!(who.limit.namespaces, Namespaces::only(["shop"]));
    let without = present(&auth, &test_token().sign(&signer(Algorithm::HS256))).await.unwrap();
    assert_eq!(without.limit.namespaces, Namespaces::only([""; 0]), "for none, where it names none");
}

/// A11: tokens for tests.
#[tokio::test]
async fn a11_test_tokens() {
    let text = TestToken::of("1").good_for(TimeDelta::hours(2)).sign(&signer(Algorithm::HS384));
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3);
    let claims = TestToken::of("1").good_for(TimeDelta::hours(2)).claims();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("tasker-test"), &json!("tasker-api")));
    let left = claims["exp"].as_i64().unwrap() - Utc::now().timestamp();
    assert!((7_140..=7_200).contains(&left));
    let auth =
        JwtAuthenticator::new(&JwtConfig { algorithms: vec![Algorithm::HS384], ..hmac_config() }).unwrap();
    assert!(Sent::get("/").bearer(&text).to(&auth).await.is_ok());
}

/// `alg: none`, in every spelling and with every kind of signature.
#[tokio::test]
async fn forgery_alg_none() {
    let key = SigningKey::rsa(1);
    let of_keys = public(&[Algorithm::RS256], &[key.jwk("k")]);
    let of_secret = JwtAuthenticator::new(&hmac_config()).unwrap();
    for name in ["none", "None", "NONE", "nOnE", "", "null"] {
        for header in [
            json!({ "alg": name }),
            json!({ "alg": name, "kid": "k" }),
            json!({ "typ": "JWT" }),
            json!({ "alg": null }),
        ] {
            let message = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
            for text in [format!("{message}."), format!("{message}.AA"), message.clone()] {
                for auth in [&of_keys, &of_secret] {
                    assert_eq!(present(auth, &text).await, Err(Refusal::Invalid.into()), "{header}");
                }
            }
        }
    }
}

/// The public key taken for the secret of an HMAC, in every form in which an attacker may have it.
#[tokio::test]
async fn forgery_hs_with_the_public_key() {
    let key = SigningKey::rsa(1);
    let jwk = key.jwk("k");
    let auth = public(&[Algorithm::RS256, Algorithm::RS384], std::slice::from_ref(&jwk));
    let n = jwk["n"].as_str().unwrap();
    for secret in [jwk.to_string(), n.to_owned(), json!({ "keys": [jwk] }).to_string()] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let signer = HmacSigner::new(algorithm, &Secret::new(secret.clone())).unwrap();
            assert_eq!(present(&auth, &test_token().sign(&signer)).await, Err(Refusal::Invalid.into()));
        }
    }
    // A set that carries a secret key offers it to nobody.
    let secret_key = json!({ "kty": "oct", "kid": "k", "k": encode(SECRET) });
    assert!(KeySet::parse(&json!({ "keys": [secret_key] }).to_string()).is_err());
}

/// A key id is compared and nothing else: neither a path nor a query, and it does not bring its own key.
#[tokio::test]
async fn forgery_kid_and_embedded_keys() {
    let (key, attacker) = (SigningKey::rsa(1), SigningKey::rsa(2));
    let auth = public(&[Algorithm::RS256], &[key.jwk("k")]);
    let long = "k".repeat(300);
    for id in ["../../../../dev/null", "k' or '1'='1", "k\0", "", "http://attacker/jwks", "K", &long] {
        let header = json!({ "alg": "RS256", "kid": id });
        assert_eq!(present(&auth, &attacker.token(&header, &claims())).await, Err(Refusal::Invalid.into()));
        assert_eq!(
            present(&auth, &key.token(&header, &claims())).await,
            Err(Refusal::Invalid.into()),
            "{id}"
        );
    }
    for header in [
        json!({ "alg": "RS256", "kid": "k", "jwk": attacker.jwk("k") }),
        json!({ "alg": "RS256", "kid": "k", "jku": "http://attacker/jwks" }),
        json!({ "alg": "RS256", "jwk": attacker.jwk("k") }),
    ] {
        assert_eq!(present(&auth, &attacker.token(&header, &claims())).await, Err(Refusal::Invalid.into()));
    }
    // What must be understood is not; a header with a key twice has two meanings.
    let critical = json!({ "alg": "RS256", "kid": "k", "crit": ["b64"], "b64": false });
    assert_eq!(present(&auth, &key.token(&critical, &claims())).await, Err(Refusal::Invalid.into()));
    let good = key.token(&json!({ "alg": "RS256", "kid": "k" }), &claims());
    assert!(present(&auth, &good).await.is_ok());
    let rest = good.split_once('.').unwrap().1;
    let twice = format!("{}.{rest}", encode(r#"{"alg":"none","alg":"RS256","kid":"k"}"#));
    assert_eq!(present(&auth, &twice).await, Err(Refusal::Invalid.into()));
}

/// A key says for which algorithm and use it is; a weak one is not taken.
#[tokio::test]
async fn keys_serve_only_what_they_are_for() {
    let key = SigningKey::rsa(1);
    let text = key.token(&json!({ "alg": "RS256", "kid": "k" }), &claims());
    let with = |name: &str, value: Value| {
        let mut jwk = key.jwk("k");
        jwk[name] = value;
        jwk
    };
    let good = [with("alg", json!("RS256")), with("key_ops", json!(["verify"])), with("use", json!("sig"))];
    for jwk in good {
        assert!(present(&public(&[Algorithm::RS256], &[jwk]), &text).await.is_ok());
    }
    let other = SigningKey::p256().jwk("other");
    for jwk in [
        with("alg", json!("RS512")),
        with("alg", json!("none")),
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("n", json!(encode([1; 128]))),
    ] {
        let auth = public(&[Algorithm::RS256], &[jwk, other.clone()]);
        assert_eq!(present(&auth, &text).await, Err(Refusal::Invalid.into()));
    }
}

/// Public keys in PEM serve as those of a JWKS do; of several the right one is found, and text around them is
/// for people.
#[tokio::test]
async fn public_keys_in_pem_verify() {
    let keys = [
        (SigningKey::rsa(1), &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512][..]),
        (SigningKey::rsa(1), &[Algorithm::PS256, Algorithm::PS384, Algorithm::PS512]),
        (SigningKey::p256(), &[Algorithm::ES256]),
        (SigningKey::p384(), &[Algorithm::ES384]),
        (SigningKey::p521(), &[Algorithm::ES512]),
        (SigningKey::ed25519(), &[Algorithm::EdDSA]),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    let all: String = keys.iter().map(|(key, _)| format!("the next key\n{}", key.pem())).collect();
    for (texts, others_too) in [(all, true), (String::new(), false)] {
        for (key, algorithms) in &keys {
            let text = if others_too { texts.clone() } else { key.pem().replace('\n', "\r\n") };
            std::fs::write(file.path(), text).unwrap();
            let config = JwtConfig {
                algorithms: algorithms.to_vec(),
                secret: None,
                public_keys_file: Some(file.path().into()),
                ..hmac_config()
            };
            let auth = JwtAuthenticator::new(&config).unwrap();
            for algorithm in *algorithms {
                let header = json!({ "alg": algorithm, "kid": "any" });
                let text = key.token(&header, &claims());
                assert_eq!(present(&auth, &text).await.unwrap().subject, "1", "{algorithm}");
                let (message, _) = text.rsplit_once('.').unwrap();
                let forged = format!("{message}.{}", encode([1; 132]));
                assert_eq!(present(&auth, &forged).await, Err(Refusal::Invalid.into()), "{algorithm}");
            }
            let stranger = SigningKey::rsa(2).token(&json!({ "alg": algorithms[0] }), &claims());
            assert_eq!(present(&auth, &stranger).await, Err(Refusal::Invalid.into()));
        }
    }
}

/// A block that is not one of ours is refused at the start, with what it is.
#[test]
fn what_is_no_public_key_in_pem_is_refused() {
    let good = SigningKey::p256().pem();
    let number = |bytes: usize| der(0x02, &[&[1][..], &vec![7; bytes - 1]].concat());
    let weak = der(0x30, &[number(128), number(3)].concat());
    let rsa = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let weak = der(0x30, &[der(0x30, rsa), der(0x03, &[&[0][..], &weak].concat())].concat());
    let ed448 = [der(0x30, b"\x06\x03\x2b\x65\x71"), der(0x03, &[0; 58])].concat();
    for (text, said) in [
        (String::new(), "has no block"),
        ("nothing of the kind".into(), "has no block"),
        (pem("PRIVATE KEY", b"secret"), "block 1 is a private key"),
        (pem("EC PRIVATE KEY", b"secret"), "block 1 is a private key"),
        (format!("{good}{}", pem("CERTIFICATE", b"x")), "block 2 is no PUBLIC KEY"),
        (pem("PUBLIC KEY", b"x"), "block 1 cannot be read"),
        (pem("PUBLIC KEY", &der(0x30, &[])), "block 1 is no public key"),
        (good.replace("-----END", "----END"), "block 1 has no -----END"),
        (good.replace('M', "!"), "block 1 cannot be read"),
        (pem("PUBLIC KEY", &weak), "less than 2048 bits"),
        (pem("PUBLIC KEY", &der(0x30, &ed448)), "a kind that is not taken"),
    ] {
        let error = KeySet::parse_pem(&text).unwrap_err();
        assert!(error.contains(said) && !error.contains("c2VjcmV0"), "{said}: {error}");
    }
    let config = JwtConfig {
        algorithms: vec![Algorithm::ES256],
        secret: None,
        public_keys_file: Some("/nowhere".into()),
        ..hmac_config()
    };
    let problems = JwtAuthenticator::new(&config).unwrap_err();
    assert!(
        problems[0].to_string().starts_with("public_keys_file: /nowhere: cannot be read"),
        "{problems:?}"
    );
    let two = JwtConfig { jwks_url: Some("https://issuer.example/keys".into()), ..config };
    assert!(two.problems()[0].reason.contains("exactly one"));
}

/// The secret before is accepted while tokens of it live.
#[tokio::test]
async fn a_secret_can_be_replaced() {
    let new = Secret::new("the new secret, which is long enough too");
    let config = JwtConfig {
        secret: Some(SecretSource::Text(new.clone())),
        previous_secrets: vec![SecretSource::Text(Secret::new(SECRET))],
        ..hmac_config()
    };
    let auth = JwtAuthenticator::new(&config).unwrap();
    let new = HmacSigner::new(Algorithm::HS256, &new).unwrap();
    for signer in [&new, &signer(Algorithm::HS256)] {
        assert!(present(&auth, &test_token().sign(signer)).await.is_ok());
    }
}

/// No secret in use is in a text that can be logged.
#[test]
fn secrets_are_in_no_debug_and_no_error() {
    let config = hmac_config();
    let auth = JwtAuthenticator::new(&config).unwrap();
    let shown = [
        format!("{config:?}"),
        format!("{auth:?}"),
        format!("{:?}", signer(Algorithm::HS256)),
        tasker_auth::show_section(&config).to_string(),
        format!("{:?}", HmacSigner::new(Algorithm::RS256, &Secret::new(SECRET))),
        format!("{:?}", Sent::get("/?token=a-secret-that-has").bearer(SECRET).request()),
        format!("{:?}", read_section::<JwtConfig>(&json!({ "secret": [SECRET], "issuer": 7 }))),
    ];
    for text in shown {
        assert!(!text.contains("secret that has") && !text.contains("secret-that-has"), "{text}");
    }
}

/// D-01: 64 threads with tokens of their own, through one value.
#[test]
fn d01_sixty_four_threads_with_tokens_of_their_own() {
    let auth = JwtAuthenticator::new(&hmac_config()).unwrap();
    let barrier = std::sync::Barrier::new(64);
    std::thread::scope(|scope| {
        for n in 0..64 {
            let (auth, barrier) = (&auth, &barrier);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let name = format!("user-{n}");
                let good = TestToken::of(&name).at(instant()).sign(&signer(Algorithm::HS256));
                barrier.wait();
                for _ in 0..50 {
                    assert_eq!(runtime.block_on(present(auth, &good)).unwrap().subject, name);
                    assert!(runtime.block_on(present(auth, "a.b.c")).is_err());
                }
            });
        }
    });
}

#[tokio::test]
async fn ten_thousand_random_tokens_and_key_sets_do_not_panic() {
    let (key, mut noise) = (SigningKey::rsa(1), Noise(3));
    let auth = JwtAuthenticator::new(&hmac_config()).unwrap();
    let good = test_token().sign(&signer(Algorithm::HS256));
    let set = json!({ "keys": [key.jwk("k")] }).to_string();
    let blocks = SigningKey::p521().pem() + &SigningKey::ed25519().pem();
    for _ in 0..10_000 {
        let text: String = noise.text(&[&good]).chars().filter(|c| c.is_ascii_graphic()).collect();
        if text != good {
            // A change in the unused bits of the last character would be another text of the same token.
            assert!(present(&auth, &text).await.is_err(), "{text}");
        }
        let _ = KeySet::parse(&noise.text(&[&set]));
        let _ = KeySet::parse_pem(&noise.text(&[&blocks]));
    }
}
