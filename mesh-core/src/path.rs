//! The path of a request, in the form that rules are matched against.
//!
//! The same resource can be named in many ways (`/a/../b`, `/%62`, `//b`), and a policy that is
//! matched against one of them should not be evaded by another. [`Normalization`] brings a path into
//! one form before it is matched, and it is forwarded in that form: the modes of Istio's
//! `meshConfig.pathNormalization`, done as Envoy does it
//! (`source/common/http/path_utility.cc`, with googleurl's canonical paths).
//!
//! # What is promised
//!
//! The policy sees the path that is forwarded, and that path has no segment `.` or `..`, escaped or
//! not. This is enough where the server behind takes paths as RFC 3986 does. It is not where the
//! server finds more names for a resource than the mode undoes:
//!
//! - Path parameters. Written out, `/..;x` is a dot segment, and removed. Escaped, `/%2e%2e;x` is
//!   decoded to `/..;x` and stays, as in Envoy (seen at 1.40): `/public/%2e%2e;x/admin` becomes
//!   `/public/..;x/admin`, to which a rule for `/public/*` applies. Servlet containers (Tomcat,
//!   Jetty) drop `;x` and serve `/admin`, and so does whoever normalizes the path once more:
//!   normalizing is not idempotent in this case.
//! - Slashes. `//` and `%2F` are names of `/` to many servers: use `MERGE_SLASHES` or
//!   `DECODE_AND_MERGE_SLASHES`.
//! - Case, and escapes within escapes (`%252e`), where a server ignores the one or decodes twice.
//!
//! Before such servers, allow exact paths, as a prefix like `/public/*` allows whatever they take
//! such paths for. Where prefixes are needed, refuse parameters at the gateway: a first `http` route
//! of the VirtualService with `match: [{uri: {regex: ".*;.*"}}]` and `directResponse: {status: 400}`.
//! (An AuthorizationPolicy cannot say it: in `paths: ["*;*"]` only the first `*` is a wildcard.)
//!
//! All functions take a path as it is in the request line, with its query, which they leave alone.
//!
//! # Example
//!
//! ```
//! use mesh_core::path::Normalization;
//!
//! assert_eq!(Normalization::Base.apply("/shop/../%61dmin?next=/a/../b")?, "/admin?next=/a/../b");
//! assert_eq!(Normalization::Base.apply("/a//b")?, "/a//b");
//! assert_eq!(Normalization::MergeSlashes.apply("/a//b")?, "/a/b");
//! assert_eq!(Normalization::DecodeAndMergeSlashes.apply("/a%2F%5Cb")?, "/a/b");
//! # Ok::<(), mesh_core::path::InvalidPathError>(())
//! ```

use std::borrow::Cow;

/// How far paths are normalized: `meshConfig.pathNormalization`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Normalization {
    /// Not at all.
    None,
    /// RFC 3986 §6.2.2: dot segments are removed, escapes of unreserved characters decoded; and
    /// `\` becomes `/`. The default of Istio.
    #[default]
    Base,
    /// `Base`, and then adjacent slashes become one.
    MergeSlashes,
    /// `%2F` and `%5C` are decoded first, then as `MergeSlashes`.
    DecodeAndMergeSlashes,
}

/// The path contains `%00`, with which no two servers do the same.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("path `{path}` contains an escaped zero byte")]
pub struct InvalidPathError {
    path: String,
}

impl Normalization {
    /// Normalizes `path`; borrowed if it is normal already.
    ///
    /// # Errors
    ///
    /// The path contains `%00`, and is not left as it is.
    pub fn apply(self, path: &str) -> Result<Cow<'_, str>, InvalidPathError> {
        let path = match self {
            Self::None => return Ok(Cow::Borrowed(path)),
            Self::Base | Self::MergeSlashes => Cow::Borrowed(path),
            Self::DecodeAndMergeSlashes => unescape_slashes(path),
        };
        let path = then(path, normalize)?;
        match self {
            Self::None | Self::Base => Ok(path),
            Self::MergeSlashes | Self::DecodeAndMergeSlashes => {
                then(path, |path| Ok(merge_slashes(path)))
            }
        }
    }
}

/// Applies `change`, without copying what neither this nor an earlier change has changed.
fn then<E>(
    path: Cow<'_, str>,
    change: impl Fn(&str) -> Result<Cow<'_, str>, E>,
) -> Result<Cow<'_, str>, E> {
    match path {
        Cow::Borrowed(path) => change(path),
        Cow::Owned(path) => Ok(Cow::Owned(change(&path)?.into_owned())),
    }
}

/// Removes dot segments and decodes escapes that need not be, as RFC 3986 §6.2.2 has it.
///
/// Beyond the RFC, and as Envoy: `\` becomes `/`; a path begins with `/`; characters that no URI
/// may contain are escaped; and `.` and `..` with parameters (`/..;x/`) are dot segments as well,
/// which is how servlet containers take them. Written with escapes (`/%2e%2e;x/`) they are not: they
/// are decoded and stay, see the [module docs](self#what-is-promised).
///
/// # Errors
///
/// The path contains `%00`.
///
/// # Example
///
/// ```
/// use mesh_core::path::normalize;
///
/// assert_eq!(normalize("/a/b/%2E%2e/c")?, "/a/c");
/// assert_eq!(normalize("/a\\b")?, "/a/b");
/// assert_eq!(normalize("/%2F")?, "/%2F", "an escaped slash is not a slash");
/// assert!(normalize("/%00").is_err());
/// # Ok::<(), mesh_core::path::InvalidPathError>(())
/// ```
pub fn normalize(path: &str) -> Result<Cow<'_, str>, InvalidPathError> {
    if is_normal(path) {
        return Ok(Cow::Borrowed(path));
    }
    let (before, after) = split(path);
    let mut normal = String::with_capacity(path.len() + 1);
    normal.push('/');
    let mut rest = before.strip_prefix(['/', '\\']).unwrap_or(before);
    loop {
        let (segment, following) = split_segment(rest);
        push_segment(&mut normal, segment, following.is_some()).map_err(|ZeroByte| {
            InvalidPathError {
                path: path.to_owned(),
            }
        })?;
        match following {
            Some(following) => rest = following,
            None => break,
        }
    }
    normal.push_str(after);
    Ok(Cow::Owned(normal))
}

/// Makes adjacent slashes one.
///
/// # Example
///
/// ```
/// assert_eq!(mesh_core::path::merge_slashes("//a///b/?c=//"), "/a/b/?c=//");
/// ```
pub fn merge_slashes(path: &str) -> Cow<'_, str> {
    let (before, after) = split_query(path);
    if !before.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut merged = String::with_capacity(path.len());
    for character in before.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged.push_str(after);
    Cow::Owned(merged)
}

/// Decodes `%2F` and `%5C`, in either case of their letters.
///
/// # Example
///
/// ```
/// assert_eq!(mesh_core::path::unescape_slashes("/a%2fb%5C?%2F"), "/a/b\\?%2F");
/// ```
pub fn unescape_slashes(path: &str) -> Cow<'_, str> {
    let (before, after) = split_query(path);
    if escaped_slash(before).is_none() {
        return Cow::Borrowed(path);
    }
    let mut unescaped = String::with_capacity(path.len());
    let mut rest = before;
    while let Some((position, slash)) = escaped_slash(rest) {
        unescaped.push_str(&rest[..position]);
        unescaped.push(slash);
        rest = &rest[position + ESCAPE..];
    }
    unescaped.push_str(rest);
    unescaped.push_str(after);
    Cow::Owned(unescaped)
}

/// The path without its query and fragment.
///
/// # Example
///
/// ```
/// assert_eq!(mesh_core::path::without_query_and_fragment("/a/b?c#d"), "/a/b");
/// ```
pub fn without_query_and_fragment(path: &str) -> &str {
    split(path).0
}

/// How long an escape is.
const ESCAPE: usize = "%2F".len();

struct ZeroByte;

fn split(path: &str) -> (&str, &str) {
    split_before(path, |byte| matches!(byte, b'?' | b'#'))
}

fn split_query(path: &str) -> (&str, &str) {
    split_before(path, |byte| byte == b'?')
}

/// Splits before the first byte that `is_end` knows, all of which are ASCII. Most paths are too short
/// for a search that looks at several bytes at once.
fn split_before(path: &str, is_end: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = path.bytes().position(is_end);
    path.split_at(end.unwrap_or(path.len()))
}

/// Whether nothing is to be done, as far as one look can tell; nearly all paths are normal.
fn is_normal(path: &str) -> bool {
    let mut previous = 0;
    for byte in path.bytes() {
        match byte {
            b'?' | b'#' => break,
            b'.' if previous != b'/' => {}
            _ if SPECIAL[usize::from(byte)] => return false,
            _ => {}
        }
        previous = byte;
    }
    path.starts_with('/')
}

/// The bytes that may have to be changed, or removed.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        special[byte] = must_be_escaped(byte as u8) || matches!(byte as u8, b'%' | b'.' | b'\\');
        byte += 1;
    }
    special
};

/// The first segment of `path`, and what follows its slash, if there is one.
fn split_segment(path: &str) -> (&str, Option<&str>) {
    let name = path.trim_start_matches('.');
    let dots = path.len() - name.len();
    // Whatever the parameters of a dot segment are, they go with it.
    let end = if name.starts_with(';') && (dots == 1 || dots == 2) {
        path.find('/')
    } else {
        path.find(['/', '\\'])
    };
    match end {
        Some(end) => (&path[..end], Some(&path[end + 1..])),
        None => (path, None),
    }
}

/// Adds `segment` to `path`, which ends with a slash and does so afterwards if `slash` is set.
fn push_segment(path: &mut String, segment: &str, slash: bool) -> Result<(), ZeroByte> {
    let start = path.len();
    match segment.split_once(';') {
        Some((dots @ ("." | ".."), _parameters)) => path.push_str(dots),
        _ => push_decoded(path, segment)?,
    }
    match &path[start..] {
        "." => path.truncate(start),
        ".." => {
            let parent = &path[..start - 1];
            let end = parent.rfind('/').map_or(start, |slash| slash + 1);
            path.truncate(end);
        }
        _ if slash => path.push('/'),
        _ => {}
    }
    Ok(())
}

/// Adds `segment` with its needless escapes decoded, and needed ones made.
fn push_decoded(path: &mut String, segment: &str) -> Result<(), ZeroByte> {
    let mut rest = segment;
    let mut stray = None;
    while let Some(character) = rest.chars().next() {
        let mut taken = character.len_utf8();
        match (character, escaped_byte(rest)) {
            ('%', Some(0)) => return Err(ZeroByte),
            ('%', Some(byte)) if is_unreserved(byte) => {
                path.push(char::from(byte));
                taken = ESCAPE;
                if let Some(stray) = stray {
                    escape_stray(path, stray, &rest[taken..]);
                }
            }
            ('%', None) => {
                stray = Some(path.len());
                path.push('%');
            }
            _ if character.is_ascii() && must_be_escaped(character as u8) => {
                path.push_str(&format!("%{:02X}", character as u8));
            }
            _ => path.push(character),
        }
        rest = &rest[taken..];
    }
    Ok(())
}

/// Escapes the percent sign at `stray` if what has been decoded behind it would make an escape of
/// it, with the beginning of `rest`: `%%32e` must not become `%2e`, which the next to normalize the
/// path would read as a dot.
fn escape_stray(path: &mut String, stray: usize, rest: &str) {
    let digits = path[stray + 1..].bytes().chain(rest.bytes().take(1));
    if digits.take(2).filter(u8::is_ascii_hexdigit).count() == 2 && path.len() - stray <= ESCAPE {
        path.insert_str(stray + 1, "25");
    }
}

/// The byte that `text` begins with an escape of.
fn escaped_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('%')?.get(..2)?;
    // `from_str_radix` would take a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// Where the first escaped slash of `path` is, and which.
fn escaped_slash(path: &str) -> Option<(usize, char)> {
    path.match_indices('%')
        .find_map(|(position, _)| match escaped_byte(&path[position..])? {
            b'/' => Some((position, '/')),
            b'\\' => Some((position, '\\')),
            _ => None,
        })
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What RFC 3986 §3.3 has no place for in a path, of the printable characters.
const fn must_be_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dot_segments_are_removed() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/./", "/a/"),
            ("/..", "/"),
            ("/a/b/../../../../c", "/c"),
            ("/a/.%2E/b", "/b"),
            ("/a/%2e%2e", "/"),
            ("/a/...", "/a/..."),
            ("/a/..b", "/a/..b"),
            ("/a/.%2e%2e/b", "/a/.../b"),
            ("/a//../b", "/a/b"),
            ("//a/../b", "//b"),
            ("/a///../b", "/a//b"),
            ("//..", "/"),
            ("//.", "//"),
            ("a/b/../c", "/a/c"),
            ("/a/%2e%2e/%2E/../b/c/d/..", "/b/c/"),
        ] {
            assert_eq!(normalize(path).unwrap(), normal, "{path}");
        }
    }

    #[test]
    fn dot_segments_may_have_parameters() {
        for (path, normal) in [
            ("/a/..;x/b", "/b"),
            ("/a/.;", "/a/"),
            ("/a/..;x;y%2fz/b", "/b"),
            ("/a/..;x\\b", "/"),
            ("/a/...;x/b", "/a/...;x/b"),
            ("/a/;/../b", "/a/b"),
            ("/a/%2e%2e;x/b", "/a/..;x/b"),
            ("/a/..,x/b", "/a/..,x/b"),
        ] {
            assert_eq!(normalize(path).unwrap(), normal, "{path}");
        }
    }

    #[test]
    fn only_unreserved_characters_are_decoded() {
        for (path, normal) in [
            ("/%61%5A%30%2d%2E%5f%7E", "/aZ0-._~"),
            ("/%c0%af", "/%c0%af"),
            ("/%5c%25", "/%5c%25"),
            ("/%25%32%65/x", "/%252e/x"),
            ("/a/%", "/a/%"),
            ("/a/%2", "/a/%2"),
            ("/a/%+1/%zz", "/a/%+1/%zz"),
            // Seen at an Envoy 1.40.
            ("/a%%41", "/a%A"),
            ("/a%%%41b", "/a%%25Ab"),
            ("/%%32F", "/%252F"),
            ("/a%4%31", "/a%2541"),
            ("/a%z%41", "/a%zA"),
            ("/public/%%32e%%32e/admin", "/public/%252e%252e/admin"),
            ("/public/%2e%2e;x/admin", "/public/..;x/admin"),
            ("/\"<>^`{|}", "/%22%3C%3E%5E%60%7B%7C%7D"),
            ("/é/%é", "/é/%é"),
        ] {
            assert_eq!(normalize(path).unwrap(), normal, "{path}");
        }
    }

    #[test]
    fn a_zero_byte_is_refused() {
        for path in ["/xyz/.%00../abc", "/xyz/AAAAA%%0000/abc", "/%00"] {
            assert!(normalize(path).is_err(), "{path}");
        }
        assert_eq!(normalize("/a?%00").unwrap(), "/a?%00");
    }

    #[test]
    fn slashes_are_decoded_before_dot_segments_are_removed() {
        let apply = |path| Normalization::DecodeAndMergeSlashes.apply(path).unwrap();
        assert_eq!(apply("/a%2f..%5Cb"), "/b");
        assert_eq!(apply("/a/%2F/%2f/b%2f"), "/a/b/");
    }

    #[test]
    fn nothing_is_done_if_nothing_is_asked_for() {
        let path = "/a/../%61//b";
        assert_eq!(Normalization::None.apply(path).unwrap(), path);
    }

    proptest! {
        /// `is_normal` may not stop what `normalize` would change.
        #[test]
        fn a_normal_path_stays_as_it_is(path in "/?([a-c.%/\\\\;<é]|%2[eEfF]|%00|\\.\\./){0,12}") {
            if let Ok(once) = normalize(&path) {
                if is_normal(&path) {
                    prop_assert_eq!(&*once, &path);
                }
                let segments = once.split('/').all(|segment| segment != "." && segment != "..");
                prop_assert!(segments && once.starts_with('/'), "{}", once);
            }
        }

        #[test]
        fn merging_leaves_no_adjacent_slashes(path in "[a/]{0,12}") {
            let merged = merge_slashes(&path);
            prop_assert!(!merged.contains("//"));
            prop_assert_eq!(merged.replace('/', ""), path.replace('/', ""));
        }

        #[test]
        fn every_escaped_slash_is_decoded(path in "([a%/]|%2[fF]|%5[cC]){0,12}") {
            // Naively: what is decoded together with what stands before it is not looked at again.
            let naive = path.replace("%2f", "/").replace("%2F", "/");
            let naive = naive.replace("%5c", "\\").replace("%5C", "\\");
            prop_assert_eq!(&*unescape_slashes(&path), naive);
        }
    }
}
