/// How much of a text the parser takes in before it refuses.
///
/// Configuration comes from people who may be hostile or unlucky; time and memory stay linear in
/// these limits whatever the text says. What aliases (`*name`) and merge keys repeat counts as if
/// it were written out: its values towards [`max_nodes`](Self::max_nodes), its text towards
/// [`max_bytes`](Self::max_bytes).
///
/// The defaults are ours, not Istio's. They admit a VirtualService of 10,000 routes (about 1 MiB
/// and 300,000 nodes) and 10,000 documents in a file.
///
/// ```
/// use mesh_core::parse::{Limits, parse_as};
/// use serde::de::IgnoredAny;
///
/// let limits = Limits { max_depth: 3, ..Limits::default() };
/// let problems = parse_as::<IgnoredAny>("deep.yaml", "[[[[1]]]]", &limits).unwrap_err();
/// assert_eq!(problems[0].to_string(), "deep.yaml:1:4: more than 3 nested collections");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of text in a file. Default: 16 MiB.
    pub max_bytes: usize,
    /// Collections inside each other. Default: 64.
    pub max_depth: u8,
    /// Documents in a file. Default: 20,000.
    pub max_documents: usize,
    /// Keys and values in a file, collections included. Default: 2,000,000.
    pub max_nodes: usize,
    /// Problems reported of a file; after these the rest of the file is not read. Default: 256.
    pub max_problems: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 16 << 20,
            max_depth: 64,
            max_documents: 20_000,
            max_nodes: 2_000_000,
            max_problems: 256,
        }
    }
}
