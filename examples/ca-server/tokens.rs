//! Tokens that prove identities, as a table.

use std::collections::HashMap;
use std::error::Error;

use mesh_core::identity::SpiffeId;
use mesh_tls::ca::authenticate::{Review, TokenReview};

/// Which token proves which identity. A real authority asks Kubernetes or verifies a signature.
#[derive(Debug, Default)]
pub(crate) struct Tokens(HashMap<String, SpiffeId>);

impl Tokens {
    /// Parses lines of a token, a space and a SPIFFE ID.
    pub(crate) fn parse(text: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut tokens = HashMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let pair = line.trim().split_once(' ');
            let (token, id) = pair.ok_or("a line of tokens is a token, a space and a SPIFFE ID")?;
            tokens.insert(token.to_owned(), id.trim().parse()?);
        }
        Ok(Self(tokens))
    }
}

impl TokenReview for Tokens {
    fn review(&self, token: &str) -> Review {
        Box::pin(std::future::ready(
            self.0.get(token).cloned().map(Into::into),
        ))
    }
}
