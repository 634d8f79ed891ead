//! What is fed, a file each. Whoever has another parser of foreign bytes adds a file and a line.

mod client_certs;
mod durations;
mod formats;
mod h1_response;
mod hosts;
mod paths;
mod pem;
mod regexes;
mod signing_requests;
mod tokens;
mod yaml;

/// A parser of foreign bytes, and where to start from.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// At least one.
    pub(crate) seeds: &'static [&'static str],
    /// Words that mean something to it.
    pub(crate) dictionary: &'static [&'static str],
    /// Makes what is fed each input. It panics where the parser breaks its word.
    pub(crate) start: fn() -> Feed,
}

/// What is fed each input.
pub(crate) type Feed = Box<dyn FnMut(&[u8])>;

/// All targets.
pub(crate) const TARGETS: [&Target; 11] = [
    &client_certs::TARGET,
    &durations::TARGET,
    &formats::TARGET,
    &h1_response::TARGET,
    &hosts::TARGET,
    &paths::TARGET,
    &pem::TARGET,
    &regexes::TARGET,
    &signing_requests::TARGET,
    &tokens::TARGET,
    &yaml::TARGET,
];

/// Feeds texts to `parse`; bytes that are no text are replaced.
pub(crate) fn text(mut parse: impl FnMut(&str) + 'static) -> Feed {
    Box::new(move |input| parse(&String::from_utf8_lossy(input)))
}
