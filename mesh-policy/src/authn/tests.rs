use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Request;
use mesh_core::attributes::RequestPrincipal;
use mesh_core::resource::istio::RequestAuthentication;
use mesh_core::resource::{Resource, Value};
use proptest::prelude::*;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls_pki_types::UnixTime;
use serde_json::json;

use super::*;

/// The private key of RFC 8037, appendix A.1.
const PRIVATE: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
pub(crate) const JWKS: &str = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const NOW: u64 = 1_700_000_000;

pub(crate) fn algorithms() -> Algorithms {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Algorithms::new(provider.signature_verification_algorithms.all)
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW))
}

fn sign(header: &serde_json::Value, claims: &serde_json::Value) -> String {
    let encode = |part: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    // The head of a PKCS #8 key of Ed25519 (RFC 8410 §7).
    let mut der = vec![
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    der.extend(BASE64_URL_SAFE_NO_PAD.decode(PRIVATE).unwrap());
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der));
    let key = provider.key_provider.load_private_key(key).unwrap();
    let signer = key
        .choose_scheme(&[rustls::SignatureScheme::ED25519])
        .unwrap();
    let signature = signer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) fn token(claims: &serde_json::Value) -> String {
    sign(&json!({"alg": "EdDSA", "kid": "one"}), claims)
}

fn authenticator(rules: &serde_json::Value) -> Authenticator {
    let mut rules = rules.clone();
    for rule in rules.as_array_mut().unwrap() {
        if rule.get("jwksUri").is_none() && rule.get("jwks").is_none() {
            rule["jwks"] = json!(JWKS);
        }
    }
    let policy = Resource::<RequestAuthentication> {
        spec: serde_json::from_value(json!({"jwtRules": rules})).unwrap(),
        ..Resource::default()
    };
    Authenticator::compile(&[Arc::new(policy)], &KeyStore::default(), algorithms())
}

fn request(token: &str) -> Request<()> {
    let value = format!("Bearer {token}");
    Request::get("http://a/b")
        .header("authorization", value)
        .body(())
        .unwrap()
}

fn verify(rules: &serde_json::Value, claims: &serde_json::Value) -> Result<(), TokenError> {
    authenticator(rules).verify(&mut request(&token(claims)), now())
}

#[test]
fn a_valid_token_names_the_caller_and_is_not_passed_on() {
    let rules = json!([{"issuer": "i", "forwardOriginalToken": false}]);
    let claims = json!({"iss": "i", "sub": "me", "scope": "a b", "exp": NOW});
    let mut request = request(&token(&claims));
    authenticator(&rules).verify(&mut request, now()).unwrap();
    assert!(!request.headers().contains_key("authorization"));
    let principal = request.extensions().get::<RequestPrincipal>().unwrap();
    assert_eq!(&*principal.principal, "i/me");
    let items = ["a", "b"].map(|item| Value::String(item.to_owned()));
    assert_eq!(
        principal.claims.field("scope"),
        Some(&Value::List(items.to_vec()))
    );
}

#[test]
fn a_rule_names_further_claims_that_hold_lists_with_spaces_between() {
    let rules = json!([{"issuer": "i", "spaceDelimitedClaims": ["roles"]}]);
    let claims = json!({"iss": "i", "sub": "me", "roles": "a b", "name": "a b", "scope": "a b"});
    let mut request = request(&token(&claims));
    authenticator(&rules).verify(&mut request, now()).unwrap();
    let principal = request.extensions().get::<RequestPrincipal>().unwrap();
    let list = Value::List(
        ["a", "b"]
            .map(|item| Value::String(item.to_owned()))
            .to_vec(),
    );
    assert_eq!(principal.claims.field("roles"), Some(&list));
    assert_eq!(principal.claims.field("scope"), Some(&list));
    let name = principal.claims.field("name").and_then(Value::as_str);
    assert_eq!(name, Some("a b"));
}

#[test]
fn issuer_time_and_audience_are_checked() {
    let rules = json!([{"issuer": "i", "audiences": ["https://shop/", "cart"]}]);
    let cases = [
        ("valid", json!({"iss": "i", "aud": "cart"}), Ok(())),
        (
            "one of several",
            json!({"iss": "i", "aud": ["x", "http://shop"]}),
            Ok(()),
        ),
        (
            "issuer",
            json!({"iss": "j", "aud": "cart"}),
            Err(TokenError::UnknownIssuer),
        ),
        (
            "no issuer",
            json!({"aud": "cart"}),
            Err(TokenError::UnknownIssuer),
        ),
        (
            "audience",
            json!({"iss": "i", "aud": "x"}),
            Err(TokenError::AudienceNotAllowed),
        ),
        (
            "no audience",
            json!({"iss": "i"}),
            Err(TokenError::AudienceNotAllowed),
        ),
        (
            "in the skew",
            json!({"iss": "i", "aud": "cart", "exp": NOW - 60}),
            Ok(()),
        ),
        (
            "expired",
            json!({"iss": "i", "aud": "cart", "exp": NOW - 61}),
            Err(TokenError::Expired),
        ),
        (
            "nearly valid",
            json!({"iss": "i", "aud": "cart", "nbf": NOW + 60}),
            Ok(()),
        ),
        (
            "not yet valid",
            json!({"iss": "i", "aud": "cart", "nbf": NOW + 61}),
            Err(TokenError::NotYetValid),
        ),
        (
            "a claim of the wrong type",
            json!({"iss": "i", "aud": "cart", "exp": "soon"}),
            Err(TokenError::PayloadParseErrorExpNotInteger),
        ),
    ];
    for (case, claims, expected) in cases {
        assert_eq!(verify(&rules, &claims), expected, "{case}");
    }
}

#[test]
fn a_token_with_a_changed_signature_is_refused() {
    let rules = json!([{"issuer": "i"}]);
    let mut forged = token(&json!({"iss": "i"}));
    forged.replace_range(forged.len() - 8..forged.len() - 4, "AAAA");
    let result = authenticator(&rules).verify(&mut request(&forged), now());
    assert_eq!(result, Err(TokenError::VerificationFail));
}

#[test]
fn a_key_is_chosen_by_its_id_and_algorithm() {
    let rules = json!([{"issuer": "i"}]);
    let claims = json!({"iss": "i"});
    let cases = [
        (json!({"alg": "EdDSA", "kid": "one"}), Ok(())),
        (json!({"alg": "EdDSA"}), Ok(())),
        (
            json!({"alg": "EdDSA", "kid": "two"}),
            Err(TokenError::KidAlgMismatch),
        ),
        (json!({"alg": "ES256"}), Err(TokenError::VerificationFail)),
        (json!({"alg": "HS256"}), Err(TokenError::VerificationFail)),
        (
            json!({"alg": "none"}),
            Err(TokenError::HeaderNotImplementedAlg),
        ),
        (
            json!({"alg": "eddsa"}),
            Err(TokenError::HeaderNotImplementedAlg),
        ),
        (json!({}), Err(TokenError::HeaderBadAlg)),
        (
            json!({"alg": "EdDSA", "kid": 1}),
            Err(TokenError::HeaderBadKid),
        ),
        // RFC 7515 §4.1.11: what is critical and not understood is refused.
        (
            json!({"alg": "EdDSA", "crit": ["exp"], "exp": NOW}),
            Err(TokenError::HeaderCritical),
        ),
        (
            json!({"alg": "EdDSA", "crit": ["b64"], "b64": true}),
            Err(TokenError::HeaderCritical),
        ),
        (
            json!({"alg": "EdDSA", "crit": null}),
            Err(TokenError::HeaderCritical),
        ),
    ];
    for (header, expected) in cases {
        let result = authenticator(&rules).verify(&mut request(&sign(&header, &claims)), now());
        assert_eq!(result, expected, "{header}");
    }
}

#[test]
fn with_several_rules_one_has_to_accept_or_none_to_find_a_token() {
    let rules = json!([
        {"issuer": "a", "fromHeaders": [{"name": "x-a"}]},
        {"issuer": "b", "fromHeaders": [{"name": "x-b"}]},
    ]);
    let of = |issuer: &str| token(&json!({"iss": issuer, "sub": "me"}));
    let cases = [
        ("no token", vec![], Ok(())),
        ("the first", vec![("x-a", of("a"))], Ok(())),
        ("the second", vec![("x-b", of("b"))], Ok(())),
        ("both", vec![("x-a", of("a")), ("x-b", of("b"))], Ok(())),
        (
            "the wrong place",
            vec![("x-a", of("b"))],
            Err(TokenError::UnknownIssuer),
        ),
        (
            "one valid and one not",
            vec![("x-a", of("a")), ("x-b", "x".to_owned())],
            Ok(()),
        ),
        (
            "two tokens at one place",
            vec![("x-a", of("a")), ("x-a", of("b"))],
            Err(TokenError::UnknownIssuer),
        ),
    ];
    let authenticator = authenticator(&rules);
    for (case, headers, expected) in cases {
        let mut request = Request::get("/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let result = authenticator.verify(&mut request.body(()).unwrap(), now());
        assert_eq!(result, expected, "{case}");
    }
}

#[test]
fn a_token_that_is_required_is_missed() {
    let rules = json!([{"issuer": "i", "presence": "REQUIRED"}]);
    let mut request = Request::get("/").body(()).unwrap();
    let result = authenticator(&rules).verify(&mut request, now());
    assert_eq!(result, Err(TokenError::Missed));
}

#[test]
fn a_preflight_needs_no_token() {
    let rules = json!([{"issuer": "i"}]);
    let preflight = |method: &str| {
        let mut request = request("x");
        *request.method_mut() = "OPTIONS".parse().unwrap();
        let headers = request.headers_mut();
        headers.insert("origin", "https://b".parse().unwrap());
        headers.insert("access-control-request-method", method.parse().unwrap());
        request
    };
    let authenticator = authenticator(&rules);
    assert_eq!(authenticator.verify(&mut preflight("POST"), now()), Ok(()));
    assert!(authenticator.verify(&mut preflight(""), now()).is_err());
}

#[test]
fn payload_and_claims_are_passed_on_and_cannot_be_sent() {
    let rules = json!([{
        "issuer": "i",
        "outputPayloadToHeader": "x-payload",
        "outputClaimToHeaders": [{"header": "x-group", "claim": "user.group"}],
        "forwardOriginalToken": true,
    }]);
    let authenticator = authenticator(&rules);
    let claims = json!({"iss": "i", "user": {"group": "ops"}});
    let text = token(&claims);
    // The second time it is remembered.
    for _ in 0..2 {
        let mut request = request(&text);
        request
            .headers_mut()
            .insert("x-group", "admin".parse().unwrap());
        authenticator.verify(&mut request, now()).unwrap();
        let groups: Vec<_> = request.headers().get_all("x-group").iter().collect();
        assert_eq!(groups, ["ops"]);
        assert_eq!(
            request.headers()["x-payload"],
            text.split('.').nth(1).unwrap()
        );
        assert!(request.headers().contains_key("authorization"));
    }
    let mut without = Request::get("/")
        .header("x-group", "admin")
        .body(())
        .unwrap();
    authenticator.verify(&mut without, now()).unwrap();
    assert!(!without.headers().contains_key("x-group"));
}

#[test]
fn a_remembered_token_expires_all_the_same() {
    let authenticator = authenticator(&json!([{"issuer": "i"}]));
    let text = token(&json!({"iss": "i", "exp": NOW}));
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(NOW + seconds));
    for (seconds, expected) in [(0, Ok(())), (60, Ok(())), (61, Err(TokenError::Expired))] {
        let result = authenticator.verify(&mut request(&text), at(seconds));
        assert_eq!(result, expected, "{seconds}");
    }
}

#[test]
fn rules_that_are_invalid_accept_no_token() {
    let rules = json!([
        {"issuer": "a", "jwks": "{}"},
        {"issuer": "b", "jwksUri": "https://b/keys"},
        {"issuer": "c", "outputPayloadToHeader": "a b"},
    ]);
    let authenticator = authenticator(&rules);
    let messages: Vec<_> = authenticator
        .notices()
        .iter()
        .map(|notice| notice.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "the key set is not valid: Jwks does not have [keys] field; no token of the rule is \
             accepted",
            "a header has no valid name",
        ]
    );
    let single = |issuer: &str, rule: usize| {
        let rules = json!([rules[rule]]);
        let text = token(&json!({"iss": issuer}));
        self::authenticator(&rules).verify(&mut request(&text), now())
    };
    assert_eq!(single("a", 0), Err(TokenError::NoValidKeys));
    assert_eq!(single("b", 1), Err(TokenError::KeysNotFetched));
}

#[test]
fn a_rule_with_an_invalid_place_still_requires_a_token_and_guards_its_headers() {
    let rule = json!({
        "issuer": "i",
        "fromHeaders": [{"name": "x token"}],
        "outputPayloadToHeader": "x-payload",
        "outputClaimToHeaders": [{"header": "x-jwt-sub", "claim": "sub"}],
    });
    let written = || {
        let headers = [("x-payload", "forged"), ("x-jwt-sub", "admin")];
        let mut request = request(&token(&json!({"iss": "i"})));
        request.headers_mut().extend(headers.map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, http::HeaderValue::from_static(value))
        }));
        request
    };
    for (presence, expected) in [("OPTIONAL", Ok(())), ("REQUIRED", Err(TokenError::Missed))] {
        let mut rule = rule.clone();
        rule["presence"] = json!(presence);
        let authenticator = authenticator(&json!([rule]));
        let [notice] = authenticator.notices() else {
            panic!("{:?}", authenticator.notices());
        };
        assert_eq!(
            notice.message,
            "`x token` of `fromHeaders` is not a header name; no token is looked for there"
        );
        let mut request = written();
        assert_eq!(authenticator.verify(&mut request, now()), expected);
        assert!(request.extensions().get::<RequestPrincipal>().is_none());
        for name in ["x-payload", "x-jwt-sub"] {
            assert!(!request.headers().contains_key(name), "{presence} {name}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "([A-Za-z0-9_.=-]{0,12}|\\PC{0,12}|eyJhbGciOiJFUzI1NiJ9\\.){0,4}") {
        if let Ok(token) = Token::parse(&text) {
            prop_assert!(token.verify_signature(&Jwks::parse(JWKS).unwrap(), algorithms()).is_err());
        }
        let _ = Jwks::parse(&text);
        let _ = Jwks::parse_pem(&text);
    }
}
