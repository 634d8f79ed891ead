//! How deep the tree of an expression can be. Parsing and evaluating recur as deep.

use std::iter;

/// An upper bound of the depth of the tree that `text` parses to: links of the longest chain of
/// operators and fields, over all the brackets around it.
pub(super) fn bound(text: &str) -> usize {
    let mut open = vec![0_usize];
    let mut deepest = 0_usize;
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\'' | '"' => {
                while let Some(within) = rest.next_if(|within| *within != next) {
                    if within == '\\' {
                        rest.next();
                    }
                }
                rest.next();
            }
            '(' | '[' | '{' => open.push(1),
            ')' | ']' | '}' if open.len() > 1 => {
                open.pop();
            }
            // What they join is a balanced tree.
            ',' => restart(&mut open),
            '&' | '|' if rest.next_if_eq(&next).is_some() => restart(&mut open),
            _ if is_operator(next) => {
                while rest.next_if(|next| is_operator(*next)).is_some() {}
                link(&mut open);
            }
            _ if is_word(next) => {
                let mut word = String::from(next);
                word.extend(iter::from_fn(|| rest.next_if(|next| is_word(*next))));
                if word == "in" {
                    link(&mut open);
                }
            }
            _ => {}
        }
        deepest = deepest.max(open.iter().sum());
    }
    deepest
}

fn link(open: &mut [usize]) {
    if let Some(innermost) = open.last_mut() {
        *innermost += 1;
    }
}

fn restart(open: &mut [usize]) {
    if let Some(innermost) = open.last_mut() {
        *innermost = 1;
    }
}

fn is_operator(character: char) -> bool {
    "!%*+-./:<=>?".contains(character)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_and_brackets_are_deep() {
        for (text, depth) in [
            ("", 0),
            ("a", 0),
            ("a.b >= 1", 2),
            ("a.b >= 1 && c.d == 'a.b.c' || e", 3),
            ("f(a, b.c, d)", 2),
            ("f(a) + f(b) + f(c)", 3),
            ("f(g([a]))", 3),
            ("a in b in c", 2),
            (r"'\'(((' == r", 1),
            ("))) + 'a", 1),
        ] {
            assert_eq!(bound(text), depth, "{text}");
        }
    }
}
