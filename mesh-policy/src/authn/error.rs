//! What is wrong with tokens and key sets, in the words of Envoy.

/// Why a token is not accepted. Its text is the body of Envoy's answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// None of the audiences is one that the rule names; answered with `403`.
    #[error("Audiences in Jwt are not allowed")]
    AudienceNotAllowed,
    /// There are not three parts.
    #[error("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections")]
    BadFormat,
    /// The signature of EdDSA has not 64 bytes.
    #[error("Jwt ED25519 signature is wrong length")]
    Ed25519SignatureWrongLength,
    /// The time `exp` is over.
    #[error("Jwt is expired")]
    Expired,
    /// The header has no `alg`, or it is no text.
    #[error("Jwt header [alg] field is required and must be a string")]
    HeaderBadAlg,
    /// The header has a `kid` that is no text.
    #[error("Jwt header [kid] field is not a string")]
    HeaderBadKid,
    /// The header has the parameter `crit`: extensions that have to be understood, and are not.
    #[error("Jwt header [crit] is not supported")]
    HeaderCritical,
    /// The header names an algorithm that is not known; `none` is one.
    #[error("Jwt header [alg] is not supported")]
    HeaderNotImplementedAlg,
    /// The header is not Base64url.
    #[error("Jwt header is an invalid Base64url encoded")]
    HeaderParseErrorBadBase64,
    /// The header is not a JSON object.
    #[error("Jwt header is an invalid JSON")]
    HeaderParseErrorBadJson,
    /// No key has the `kid` and `alg` of the token.
    #[error("Jwks doesn't have key to match kid or alg from Jwt")]
    KidAlgMismatch,
    /// The keys of the issuer have not been fetched yet.
    #[error("Jwks remote fetch is failed")]
    KeysNotFetched,
    /// There is no token, and there has to be one.
    #[error("Jwt is missing")]
    Missed,
    /// The keys of the issuer are not valid.
    #[error("Jwks doesn't have any valid public key")]
    NoValidKeys,
    /// The time `nbf` has not come.
    #[error("Jwt not yet valid")]
    NotYetValid,
    /// `aud` is neither a text nor a list of texts.
    #[error("Jwt payload [aud] field is not a string or string list")]
    PayloadParseErrorAudNotString,
    /// The payload is not Base64url.
    #[error("Jwt payload is an invalid Base64url encoded")]
    PayloadParseErrorBadBase64,
    /// The payload is not a JSON object.
    #[error("Jwt payload is an invalid JSON")]
    PayloadParseErrorBadJson,
    /// `exp` is no number.
    #[error("Jwt payload [exp] field is not an integer")]
    PayloadParseErrorExpNotInteger,
    /// `exp` is negative or too large.
    #[error("Jwt payload [exp] field is not a positive 64 bit integer")]
    PayloadParseErrorExpOutOfRange,
    /// `iat` is no number.
    #[error("Jwt payload [iat] field is not an integer")]
    PayloadParseErrorIatNotInteger,
    /// `iat` is negative or too large.
    #[error("Jwt payload [iat] field is not a positive 64 bit integer")]
    PayloadParseErrorIatOutOfRange,
    /// `iss` is no text.
    #[error("Jwt payload [iss] field is not a string")]
    PayloadParseErrorIssNotString,
    /// `jti` is no text.
    #[error("Jwt payload [jti] field is not a string")]
    PayloadParseErrorJtiNotString,
    /// `nbf` is no number.
    #[error("Jwt payload [nbf] field is not an integer")]
    PayloadParseErrorNbfNotInteger,
    /// `nbf` is negative or too large.
    #[error("Jwt payload [nbf] field is not a positive 64 bit integer")]
    PayloadParseErrorNbfOutOfRange,
    /// `sub` is no text.
    #[error("Jwt payload [sub] field is not a string")]
    PayloadParseErrorSubNotString,
    /// The signature is not Base64url.
    #[error("Jwt signature is an invalid Base64url encoded")]
    SignatureParseErrorBadBase64,
    /// No rule is for the issuer.
    #[error("Jwt issuer is not configured")]
    UnknownIssuer,
    /// No key has made the signature.
    #[error("Jwt verification fails")]
    VerificationFail,
}

/// Why a key, or a set of keys, cannot be used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// `keys` is not a list.
    #[error("[keys] in Jwks is not an array")]
    BadKeys,
    /// `kty` is no text.
    #[error("[kty] is bad in [keys]")]
    BadKty,
    /// `crv` does not go with `alg`.
    #[error("[crv] field specified is not compatible with [alg] for an EC key")]
    EcKeyAlgNotCompatibleWithCrv,
    /// `alg` or `crv` is not known.
    #[error("[crv] or [alg] field is not supported for an EC key")]
    EcKeyAlgOrCrvUnsupported,
    /// `alg` is not one of elliptic curves.
    #[error("[alg] is not started with [ES] for an EC key")]
    EcKeyBadAlg,
    /// `crv` is no text.
    #[error("[crv] field is not string for an EC key")]
    EcKeyBadCrv,
    /// `x` is no text.
    #[error("[x] field is not string for an EC key")]
    EcKeyBadX,
    /// `y` is no text.
    #[error("[y] field is not string for an EC key")]
    EcKeyBadY,
    /// There is no `x`.
    #[error("[x] field is missing for an EC key")]
    EcKeyMissingX,
    /// There is no `y`.
    #[error("[y] field is missing for an EC key")]
    EcKeyMissingY,
    /// `x` and `y` are no point of the curve.
    #[error("Jwks EC [x] and [y] fields have a parse error.")]
    EcParseError,
    /// `x` or `y` is not Base64url.
    #[error("Jwks EC [x] or [y] field is an invalid Base64.")]
    EcXorYBadBase64,
    /// `alg` is not one of symmetric keys.
    #[error("[alg] does not start with [HS] for an HMAC key")]
    HmacKeyBadAlg,
    /// `k` is no text.
    #[error("[k] field is not string for an HMAC key")]
    HmacKeyBadK,
    /// There is no `k`.
    #[error("[k] field is missing for an HMAC key")]
    HmacKeyMissingK,
    /// There is no `kty`.
    #[error("[kty] is missing in [keys]")]
    MissingKty,
    /// There is neither `keys` nor a map of certificates.
    #[error("Jwks does not have [keys] field")]
    NoKeys,
    /// `kty` is not known.
    #[error("[kty] is not supported in [keys]")]
    NotImplementedKty,
    /// `use` says that the key is for something else.
    #[error("[use] is not [sig] in [keys]")]
    NotForSignatures,
    /// There is no key.
    #[error("Jwks doesn't have any valid public key")]
    NoValidKeys,
    /// `k` is not Base64url, or empty.
    #[error("Jwks Oct key is an invalid Base64")]
    OctBadBase64,
    /// `alg` is not that of Edwards curves.
    #[error("[alg] is not [EdDSA] for an OKP key")]
    OkpKeyBadAlg,
    /// `crv` is no text.
    #[error("[crv] field is not string for an OKP key")]
    OkpKeyBadCrv,
    /// `x` is no text.
    #[error("[x] field is not string for an OKP key")]
    OkpKeyBadX,
    /// `crv` is not known.
    #[error("[crv] field is not supported for an OKP key")]
    OkpKeyCrvUnsupported,
    /// There is no `crv`.
    #[error("[crv] field is missing for an OKP key")]
    OkpKeyMissingCrv,
    /// There is no `x`.
    #[error("[x] field is missing for an OKP key")]
    OkpKeyMissingX,
    /// `x` is not Base64url.
    #[error("Jwks OKP [x] field is an invalid Base64.")]
    OkpXBadBase64,
    /// `x` has not the length of a key.
    #[error("Jwks OKP [x] field is wrong length.")]
    OkpXWrongLength,
    /// The key set is not a JSON object.
    #[error("Jwks is an invalid JSON")]
    ParseError,
    /// The block is no public key.
    #[error("PEM pubkey parse fails")]
    PemBadBase64,
    /// The key is of a kind that is not known.
    #[error("PEM Key type is not supported")]
    PemNotImplementedKty,
    /// `alg` is not one of RSA.
    #[error("[alg] is not started with [RS] or [PS] for an RSA key")]
    RsaKeyBadAlg,
    /// `e` is no text.
    #[error("[e] field is not string for a RSA key")]
    RsaKeyBadE,
    /// `n` is no text.
    #[error("[n] field is not string for a RSA key")]
    RsaKeyBadN,
    /// There is no `e`.
    #[error("[e] field is missing for a RSA key")]
    RsaKeyMissingE,
    /// There is no `n`.
    #[error("[n] field is missing for a RSA key")]
    RsaKeyMissingN,
    /// `n` and `e` are no key.
    #[error("Jwks RSA [n] or [e] field is missing or has a parse error")]
    RsaParseError,
    /// A certificate has no RSA key.
    #[error("X509 parse pubkey internal fails: get pubkey")]
    X509GetPubkeyError,
    /// A certificate cannot be read.
    #[error("X509 parse pubkey fails")]
    X509ParseError,
}
