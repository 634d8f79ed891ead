use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::error::Error;
use super::reader::Reader;
use crate::parse::nearest::nearest;
use crate::parse::node::{Entry, Node};
use crate::parse::problem::{ProblemKind, excerpt};

/// Elements of a list that have not caused an error.
pub(super) struct Elements<'n, 'p> {
    list: Reader<'n, 'p>,
    items: std::iter::Enumerate<std::slice::Iter<'n, Node<'n>>>,
}

impl<'n, 'p> Elements<'n, 'p> {
    pub(super) fn new(list: Reader<'n, 'p>, items: &'n [Node<'n>]) -> Self {
        Self {
            list,
            items: items.iter().enumerate(),
        }
    }
}

impl<'n> SeqAccess<'n> for Elements<'n, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Reader { path, session, .. } = self.list;
        let next = self.items.find(|(_, item)| !session.is_skipped(item));
        let Some((index, item)) = next else {
            return Ok(None);
        };
        let path = path.index(index);
        let reader = Reader::new(item, path, session);
        reader.place(seed.deserialize(reader)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// Entries of a map, or known fields of an object, that have not caused an error.
pub(super) struct Entries<'n, 'p> {
    object: Reader<'n, 'p>,
    entries: std::slice::Iter<'n, Entry<'n>>,
    /// Fields of the type; `None` for a map, where any key is welcome.
    fields: Option<&'static [&'static str]>,
    current: Option<&'n Entry<'n>>,
}

impl<'n, 'p> Entries<'n, 'p> {
    pub(super) fn new(
        object: Reader<'n, 'p>,
        entries: &'n [Entry<'n>],
        fields: Option<&'static [&'static str]>,
    ) -> Self {
        Self {
            object,
            entries: entries.iter(),
            fields,
            current: None,
        }
    }

    /// Whether the type gets to see `entry`.
    fn admits(&self, entry: &Entry<'n>) -> bool {
        let Reader { session, .. } = self.object;
        if session.is_skipped(&entry.value) {
            return false;
        }
        let Some(fields) = self.fields else {
            return true;
        };
        if !fields.contains(&&*entry.key) {
            if session.is_strict() {
                self.report_unknown(entry, fields);
            }
            return false;
        }
        // A field that is null is a field that is absent, in Kubernetes and in protobuf's JSON.
        !entry.value.is_null()
    }

    fn report_unknown(&self, entry: &Entry<'n>, known: &'static [&'static str]) {
        let Reader { path, session, .. } = self.object;
        if session.is_full() {
            return;
        }
        let kind = ProblemKind::UnknownField {
            field: excerpt(&entry.key),
            parent: session.name(&path),
            nearest: nearest(&entry.key, known.iter().copied()).map(str::to_owned),
            known,
        };
        session.report(entry.position, &path.field(&excerpt(&entry.key)), kind);
    }
}

impl<'n> MapAccess<'n> for Entries<'n, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'n>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.current = None;
        while let Some(entry) = self.entries.next() {
            if !self.admits(entry) {
                continue;
            }
            self.current = Some(entry);
            let key = seed.deserialize(BorrowedStrDeserializer::new(&entry.key));
            return match key {
                Ok(key) => Ok(Some(key)),
                Err(error) => Err(self.refuse_key(entry, &error)),
            };
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'n>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(entry) = self.current.take() else {
            return Err(Error::custom("a value was asked for before its key"));
        };
        let Reader { path, session, .. } = self.object;
        let path = match self.fields {
            Some(_) => path.field(&entry.key),
            None => path.key(&entry.key),
        };
        let reader = Reader::new(&entry.value, path, session);
        reader.place(seed.deserialize(reader))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

impl<'n> Entries<'n, '_> {
    fn refuse_key(&self, entry: &Entry<'n>, reason: &Error) -> Error {
        let Reader { path, session, .. } = self.object;
        let kind = ProblemKind::Invalid {
            message: excerpt(&reason.to_string()),
        };
        session.refuse(&entry.value, &path.key(&entry.key), kind)
    }
}

/// A variant of an enum, which in configuration is a word.
pub(super) struct Variant<'n> {
    name: BorrowedStrDeserializer<'n, Error>,
}

impl<'n> Variant<'n> {
    pub(super) fn new(name: BorrowedStrDeserializer<'n, Error>) -> Self {
        Self { name }
    }
}

impl<'n> EnumAccess<'n> for Variant<'n> {
    type Error = Error;
    type Variant = Word;

    fn variant_seed<V: DeserializeSeed<'n>>(self, seed: V) -> Result<(V::Value, Word), Error> {
        Ok((seed.deserialize(self.name)?, Word))
    }
}

/// The content of a variant that is a word: none.
pub(super) struct Word;

impl<'n> VariantAccess<'n> for Word {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'n>>(self, _seed: T) -> Result<T::Value, Error> {
        Err(Error::custom("expected an object, found a word"))
    }

    fn tuple_variant<V: Visitor<'n>>(self, _len: usize, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("expected a list, found a word"))
    }

    fn struct_variant<V: Visitor<'n>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        Err(Error::custom("expected an object, found a word"))
    }
}
