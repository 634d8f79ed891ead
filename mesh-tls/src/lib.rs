//! Who is at the other end of a connection, and who are we?
//!
//! This crate will hold certificates, SPIFFE identities and mTLS as values, rustls configurations and tower
//! layers. It is empty in this version: the identity types it will verify, [`SpiffeId`] and [`TrustDomain`],
//! are part of `mesh-core`, so that policies can name identities without depending on TLS.
//!
//! [`SpiffeId`]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
//! [`TrustDomain`]: https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
