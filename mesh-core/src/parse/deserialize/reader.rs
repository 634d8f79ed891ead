use serde::de::value::BorrowedStrDeserializer;
use serde::de::{Deserializer, Visitor};

use super::access::{Elements, Entries, Variant};
use super::error::Error;
use super::session::Session;
use crate::origin::FieldPath;
use crate::parse::nearest::nearest;
use crate::parse::node::{Content, Node, Scalar};
use crate::parse::problem::{ProblemKind, excerpt};
use crate::parse::scalar::Meaning;

/// Deserializer of the value `node` at `path`.
#[derive(Clone, Copy)]
pub(super) struct Reader<'n, 'p> {
    pub(super) node: &'n Node<'n>,
    pub(super) path: FieldPath<'p>,
    pub(super) session: &'p Session<'p>,
}

impl<'n, 'p> Reader<'n, 'p> {
    pub(super) fn new(node: &'n Node<'n>, path: FieldPath<'p>, session: &'p Session<'p>) -> Self {
        Self {
            node,
            path,
            session,
        }
    }

    fn refuse(&self, kind: ProblemKind) -> Error {
        self.session.refuse(self.node, &self.path, kind)
    }

    fn mismatch(&self, expected: &'static str) -> Error {
        let value = excerpt(self.node.text().unwrap_or_default());
        let found = self.node.name();
        if let Content::Scalar(scalar) = &self.node.content
            && scalar.meaning() == Meaning::AmbiguousNumber
            && expected != "a string"
        {
            return self.refuse(ProblemKind::AmbiguousNumber { value });
        }
        self.refuse(ProblemKind::WrongType {
            expected,
            found,
            value,
        })
    }

    /// Places the reason of a type that refuses this value.
    pub(super) fn place<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| match error {
            Error::Recorded => Error::Recorded,
            Error::Reason(reason) => self.refuse(ProblemKind::Invalid {
                message: excerpt(&reason),
            }),
            // The field is there, and was refused for another reason.
            Error::Missing(field) if self.node.field(field).is_some() => {
                self.session.skip(self.node)
            }
            Error::Missing(field) => self.refuse(ProblemKind::Missing {
                field,
                of: String::new(),
            }),
        })
    }

    fn string(&self) -> Result<&'n str, Error> {
        match &self.node.content {
            Content::Scalar(scalar) if scalar.meaning() == Meaning::Text => Ok(&scalar.text),
            _ => Err(self.mismatch("a string")),
        }
    }

    fn meaning(&self) -> Meaning {
        match &self.node.content {
            Content::Scalar(scalar) => scalar.meaning(),
            Content::Sequence(_) | Content::Mapping(_) => Meaning::Text,
        }
    }

    fn integer<T: TryFrom<i128>>(&self, min: i128, max: i128) -> Result<T, Error> {
        let Meaning::Integer(value) = self.meaning() else {
            return Err(self.mismatch("an integer"));
        };
        T::try_from(value).map_err(|_| {
            let value = excerpt(self.node.text().unwrap_or_default());
            self.refuse(ProblemKind::OutOfRange { value, min, max })
        })
    }

    fn float(&self) -> Result<f64, Error> {
        match self.meaning() {
            Meaning::Float(value) if value.is_finite() => Ok(value),
            Meaning::Integer(value) => Ok(value as f64),
            _ => Err(self.mismatch("a finite number")),
        }
    }

    fn scalar<V: Visitor<'n>>(
        &self,
        scalar: &'n Scalar<'n>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match scalar.meaning() {
            Meaning::Null => visitor.visit_unit(),
            Meaning::Bool(value) => visitor.visit_bool(value),
            Meaning::Text => visitor.visit_borrowed_str(&scalar.text),
            Meaning::Float(value) if value.is_finite() => visitor.visit_f64(value),
            Meaning::Float(_) => Err(self.mismatch("a finite number")),
            Meaning::AmbiguousNumber => Err(self.mismatch("a number")),
            Meaning::Integer(value) => match (i64::try_from(value), u64::try_from(value)) {
                (Ok(value), _) => visitor.visit_i64(value),
                (_, Ok(value)) => visitor.visit_u64(value),
                _ => visitor.visit_f64(value as f64),
            },
        }
    }

    fn seq<V: Visitor<'n>>(&self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::Sequence(items) => visitor.visit_seq(Elements::new(*self, items)),
            _ => Err(self.mismatch("a list")),
        }
    }

    fn map<V: Visitor<'n>>(
        &self,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.node.content {
            Content::Mapping(entries) => visitor.visit_map(Entries::new(*self, entries, fields)),
            _ => Err(self.mismatch("an object")),
        }
    }
}

macro_rules! integers {
    ($($deserialize:ident $visit:ident $type:ty,)*) => {
        $(fn $deserialize<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
            let value = self.integer::<$type>(<$type>::MIN.into(), <$type>::MAX.into())?;
            self.place(visitor.$visit(value))
        })*
    };
}

impl<'n> Deserializer<'n> for Reader<'n, '_> {
    type Error = Error;

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.content {
            Content::Scalar(scalar) => self.scalar(scalar, visitor),
            Content::Sequence(_) => self.seq(visitor),
            Content::Mapping(_) => self.map(None, visitor),
        };
        self.place(result)
    }

    fn deserialize_bool<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.meaning() {
            Meaning::Bool(value) => self.place(visitor.visit_bool(value)),
            _ => Err(self.mismatch("a boolean")),
        }
    }

    fn deserialize_f32<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.float()?;
        self.place(visitor.visit_f64(value))
    }

    fn deserialize_char<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.string()?;
        self.place(visitor.visit_borrowed_str(text))
    }

    fn deserialize_string<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = if self.node.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        };
        self.place(result)
    }

    fn deserialize_unit<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() {
            self.place(visitor.visit_unit())
        } else {
            Err(self.mismatch("null"))
        }
    }

    fn deserialize_unit_struct<V: Visitor<'n>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.place(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        self.place(self.seq(visitor))
    }

    fn deserialize_tuple<V: Visitor<'n>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'n>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        self.place(self.map(None, visitor))
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.place(self.map(Some(fields), visitor))
    }

    fn deserialize_enum<V: Visitor<'n>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text = self.string()?;
        if !variants.contains(&text) {
            return Err(self.refuse(ProblemKind::UnknownValue {
                value: excerpt(text),
                nearest: nearest(text, variants.iter().copied()).map(str::to_owned),
                known: variants,
            }));
        }
        let variant = Variant::new(BorrowedStrDeserializer::new(text));
        self.place(visitor.visit_enum(variant))
    }

    fn deserialize_ignored_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}
