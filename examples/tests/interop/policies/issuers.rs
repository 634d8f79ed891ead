//! Who issues tokens, and the tokens that requests carry.

use examples::tokens::TokenIssuer;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::generate::one;

/// 2100, in seconds since 1970.
const FAR: u64 = 4_102_444_800;

/// Two issuers, and a stranger who calls himself as the first.
pub(super) struct Issuers {
    pub(super) all: [TokenIssuer; 2],
    stranger: TokenIssuer,
}

impl Issuers {
    pub(super) fn new() -> Self {
        let issuer = |name: &str| TokenIssuer::new(name).expect("a key can be made");
        Self {
            all: [
                issuer("https://login.example"),
                issuer("https://other.example"),
            ],
            stranger: issuer("https://login.example"),
        }
    }

    /// A token, valid most of the time.
    pub(super) fn token(&self, rng: &mut Rng) -> String {
        let issuer = match rng.u32(..8) {
            0 => &self.stranger,
            1 | 2 => &self.all[1],
            _ => &self.all[0],
        };
        let mut claims = json!({
            "iss": issuer.name(),
            "sub": one(rng, &["jason", "alice"]),
            "exp": FAR,
        });
        if rng.bool() {
            claims["aud"] = audience(rng);
        }
        if rng.bool() {
            claims["group"] = group(rng);
        }
        if rng.bool() {
            claims["nested"] = json!({"level": one(rng, &["gold", "silver"])});
            claims["level"] = json!(7);
        }
        match rng.u32(..12) {
            0 => claims["exp"] = json!(1_000_000_000),
            1 => claims["nbf"] = json!(FAR),
            2 => drop(
                claims
                    .as_object_mut()
                    .and_then(|claims| claims.remove("sub")),
            ),
            3 => drop(
                claims
                    .as_object_mut()
                    .and_then(|claims| claims.remove("iss")),
            ),
            4 => drop(
                claims
                    .as_object_mut()
                    .and_then(|claims| claims.remove("exp")),
            ),
            _ => {}
        }
        let token = issuer.sign(&claims).expect("a key signs");
        match rng.u32(..16) {
            0 => token[..token.len() / 2].to_owned(),
            1 => "not.a.token".to_owned(),
            2 => token + ".more",
            3 => token.replace('.', "x"),
            _ => token,
        }
    }
}

fn audience(rng: &mut Rng) -> Value {
    let audiences = [
        json!("shop"),
        json!(["bank", "shop"]),
        json!("nobody"),
        json!([]),
    ];
    audiences[rng.usize(..audiences.len())].clone()
}

fn group(rng: &mut Rng) -> Value {
    let groups = [
        json!("admins"),
        json!(["users", "admins"]),
        json!("users"),
        json!(["adults"]),
    ];
    groups[rng.usize(..groups.len())].clone()
}
