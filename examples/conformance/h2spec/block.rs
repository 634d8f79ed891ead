//! Header blocks: literals without indexing, so that no block depends on an earlier one
//! (RFC 7541 §6.2.2).

/// Pseudo-header fields of a request.
pub(super) type Fields<'a> = Vec<(&'a str, &'a str)>;

/// How long the value of [`long`] is.
const LONG: usize = 4000;

/// A request that the server answers itself.
pub(super) fn get_fields() -> Fields<'static> {
    request_fields("GET", "/")
}

/// A request whose body the server sends on.
pub(super) fn post_fields() -> Fields<'static> {
    request_fields("POST", "/echo")
}

fn request_fields(method: &'static str, path: &'static str) -> Fields<'static> {
    vec![
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "h2.example"),
    ]
}

pub(super) fn get() -> Vec<u8> {
    block(&get_fields())
}

/// A [`get`] with another method.
pub(super) fn get_as(method: &'static str) -> Vec<u8> {
    block(&request_fields(method, "/"))
}

pub(super) fn post() -> Vec<u8> {
    block(&post_fields())
}

/// A [`get`] with further fields.
pub(super) fn get_with(fields: &[(&str, &str)]) -> Vec<u8> {
    [get(), block(fields)].concat()
}

/// A [`post`] with further fields.
pub(super) fn post_with(fields: &[(&str, &str)]) -> Vec<u8> {
    [post(), block(fields)].concat()
}

/// `count` fields with long values.
pub(super) fn long(count: usize) -> Vec<u8> {
    let value = "x".repeat(LONG);
    let fields = (0..count).map(|number| {
        let name = format!("x-dummy{number}");
        block(&[(&name, &value)])
    });
    fields.collect::<Vec<_>>().concat()
}

pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        push_string(&mut block, name);
        push_string(&mut block, value);
    }
    block
}

/// Appends a dynamic table size update (RFC 7541 §6.3).
pub(super) fn push_table_size(block: &mut Vec<u8>, size: usize) {
    push_integer(block, 0x20, 5, size);
}

/// RFC 7541 §5.2, without Huffman coding.
fn push_string(block: &mut Vec<u8>, text: &str) {
    push_integer(block, 0, 7, text.len());
    block.extend(text.as_bytes());
}

/// RFC 7541 §5.1.
fn push_integer(block: &mut Vec<u8>, pattern: u8, prefix_bits: u32, value: usize) {
    let limit = (1 << prefix_bits) - 1;
    if value < limit {
        block.push(pattern | low_byte(value));
        return;
    }
    block.push(pattern | low_byte(limit));
    let mut rest = value - limit;
    while rest >= 0x80 {
        block.push(0x80 | low_byte(rest % 0x80));
        rest /= 0x80;
    }
    block.push(low_byte(rest));
}

fn low_byte(value: usize) -> u8 {
    value.to_le_bytes()[0]
}
